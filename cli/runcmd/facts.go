package runcmd

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

func NewFacts(a *cli.App) *cobra.Command {
	var anyones bool
	cmd := &cobra.Command{
		Use:   "facts INSTANCE|LEASE",
		Short: "Tell what an instance is and what it uses, as seen from inside",
		Long: `Ask an instance for its system, processors, memory, disk and well-known programs, and for what it uses of these now. Instances that are reached by
ssh cannot tell. It shows too what is known of it from outside: its image, and which ports of this machine lead in.`,
		Example: "  hostler facts local-local\n  hostler facts build --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return facts(a, cmd.Context(), args[0], anyones)
		},
		ValidArgsFunction: a.CompleteLeased,
	}
	cmd.Flags().BoolVar(&anyones, "any", false, "ask the instance whoever has the lease; for administrators")
	return cmd
}

// factsView is what `facts --json` prints.
type factsView struct {
	Instance string            `json:"instance"`
	Known    map[string]string `json:"known,omitempty"`
	Facts    compute.Facts     `json:"facts"`
	Usage    usageView         `json:"usage"`
}

// usageView is compute.Usage with its time in seconds, as everywhere.
type usageView struct {
	CPU       float64 `json:"cpu"`
	Memory    int64   `json:"memory"`
	Disk      int64   `json:"disk"`
	Processes int     `json:"processes"`
	OOMKills  int     `json:"oom_kills,omitempty"`
}

// facts asks an instance about itself, and prints that.
func facts(a *cli.App, ctx context.Context, name string, anyones bool) error {
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	c, conn, err := leasecmd.Reach(a, ctx, name, anyones)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	i := c.Instance
	v := factsView{Instance: string(i.ID), Known: i.Facts}
	informer, ok := provider.As[provider.FactReader](conn)
	if !ok {
		return &compute.Error{ID: i.ID, Kind: compute.ErrInvalid, Err: errors.New("this way into the computer cannot tell about it")}
	}
	if v.Facts, err = informer.Facts(ctx); err != nil {
		return err
	}
	u, err := informer.Usage(ctx)
	if err != nil {
		return err
	}
	v.Usage = usageView{u.CPU.Seconds(), u.Memory, u.Disk, u.Processes, u.OOMKills}
	if a.JSON {
		return a.PrintJSON(v)
	}
	return printFacts(a, v)
}

// printFacts prints what an instance says of itself, then what else is known of it.
func printFacts(a *cli.App, v factsView) error {
	f, u := v.Facts, v.Usage
	for _, line := range [][2]string{
		{"system", f.System}, {"kernel", f.OS + " " + f.Kernel + " " + f.Arch}, {"hostname", f.Hostname}, {"cores", strconv.Itoa(f.Cores)},
		{"memory", term.ShortSize(u.Memory) + " of " + term.ShortSize(f.Memory)}, {"disk",
			term.ShortSize(u.Disk) + " of " + term.ShortSize(f.Disk)},
		{"cpu", strconv.FormatFloat(u.CPU, 'f', 3, 64) + "s"}, {"processes", strconv.Itoa(u.Processes)},
		{"oom kills", strconv.Itoa(u.OOMKills)},
	} {
		if err := term.Printf(a.Out, "%-10s %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	// facts from outside that the inside does not have
	for _, name := range slices.Sorted(maps.Keys(v.Known)) {
		if slices.Contains([]string{"os", "arch", "cores", "memory", "disk"}, name) {
			continue
		}
		if err := term.Printf(a.Out, "%-10s %s\n", term.Line(name), term.Line(v.Known[name])); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Tools)) {
		if err := term.Printf(a.Out, "%-10s %s\n", name, f.Tools[name]); err != nil {
			return err
		}
	}
	return nil
}
