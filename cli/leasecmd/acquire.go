package leasecmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/text/visible"
)

// CheckName refuses a lease's name that could be mistaken for another kind of name.
func CheckName(a *cli.App, ctx context.Context, engine cli.Engine, name string) error {
	if a.Remote != nil { // a controller checks names itself
		return nil
	}
	return api.CheckFree(ctx, name, a.IsSource, engine.Resolve)
}

// processOf finds the process of --for; the zero value if there is none.
func processOf(pid string) (compute.Process, error) {
	if pid == "" {
		return compute.Process{}, nil
	}
	n, err := strconv.ParseUint(pid, 10, 31)
	if err != nil || n == 0 {
		return compute.Process{}, fault.Invalid("in a shell $$ is its own", "--for %q: not the number of a process", pid)
	}
	p, err := pool.ProcessOf(int(n))
	if errors.Is(err, compute.ErrNotFound) {
		return p, fault.Invalid("", "--for %s: no such process", pid)
	}
	return p, err
}

func NewAcquire(a *cli.App) *cobra.Command {
	var w AcquireFlags
	var pid, token string
	cmd := &cobra.Command{
		Use:   "acquire [COUNT]",
		Short: "Take instances, or parts of them; prints their names, sorted, on one line",
		Long: `Take COUNT instances (one, if not said otherwise) of a source: all of them or none. What stands ready is taken first, the rest is made.
Where the source's maximum is reached the request waits in the queue. The lease ends with release; when its ttl has passed; or when
unused for 24 hours, unless --idle or the source says otherwise.

Of a source with ` + "`share = yes`" + ` each lease books a part of an instance: --cores (1, unless it is said), --memory, --disk and --gpus; several lie beside each other
as long as there is room. Printed are the leases' names or ids then, which stand wherever an instance's name may.

With --image, --flavor or --location the instances are made for this request, and go when they are given back. Through a
controller of others you may choose what the source lets you choose: docs/controller.md.`,
		Example: "  hostler acquire -s web\n  hostler acquire -s pool --ttl 2h --name build 1\n  NAMES=$(hostler acquire -s pool --for $$ 3)\n  hostler acquire -s big --cores 0.5 --memory 2G\n  hostler acquire -s lab --image debian:13\n  hostler acquire -s pool --key job-1204 2",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.key != "" && a.Within == nil && a.Host.Whole != nil {
				return a.Host.Whole() // which has a server for it
			}
			count := 1
			if len(args) == 1 {
				n, err := strconv.ParseUint(args[0], 10, 31)
				if err != nil {
					hint := "hostler acquire -s SOURCE COUNT"
					if a.IsSource(args[0]) {
						hint = "hostler acquire -s " + args[0]
					}
					return fault.Invalid(hint, "COUNT %q is not a number of instances", args[0])
				}
				if count = int(n); count == 0 {
					return fault.Invalid(
						"hostler acquire -s SOURCE 1; hostler status shows what there is",
						"COUNT 0: at least one is to be asked for",
					)
				}
			}
			if token == "-" && a.JSON {
				return fault.Invalid("--token=FILE writes it there", "--token and --json both say what is printed")
			}
			if token != "" {
				if _, err := a.Engine(cmd.Context()); err != nil || a.Remote == nil {
					return cmp.Or(
						err,
						fault.Invalid(
							"hostler serve starts one; --controller names one elsewhere",
							"--token: a lease's own token needs a controller, and this command works by itself",
						),
					)
				}
			}
			leases, err := Acquire(a, cmd.Context(), &w, count, pid)
			if err != nil {
				return err
			}
			var secrets string
			if token != "" {
				if secrets, err = handTokens(a, cmd.Context(), leases, token); err != nil {
					return err
				}
			}
			if err := Hand(a, cmd.Context(), leases, w.key != ""); err != nil || secrets == "" {
				return err
			}
			return term.Printf(a.Out, "%s\n", visible.Block(secrets))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	w.Declare(a, cmd)
	cmd.Flags().StringVar(
		&token, "token", "",
		"print the lease's own token on a line of its own, or write it to `FILE`: who has it may use and give back that lease, and nothing else",
	)
	cmd.Flags().Lookup("token").NoOptDefVal = "-"
	cmd.Flags().StringVar(
		&w.key, "key", "",
		"take this once, however often it is asked for with `KEY`: the same again is given the same leases, and another request with that key is refused. Until a day after their end",
	)
	cmd.Flags().StringVar(&pid, "for", "", "the lease ends with the process `PID`")
	return cmd
}

func Acquire(a *cli.App, ctx context.Context, w *AcquireFlags, count int, pid string) ([]compute.Lease, error) {
	source, err := a.SourceName()
	if err != nil {
		return nil, err
	}
	req, err := w.Request(a, source)
	if err != nil {
		return nil, err
	}
	req.Count = count
	if err := CheckKey(w.key); err != nil {
		return nil, err
	}
	if w.Name != "" && count != 1 {
		return nil, fault.Invalid("", "--name %s: a name is for one instance, not %d", w.Name, count)
	}
	bound, err := processOf(pid)
	if err != nil {
		return nil, err
	}
	a.Host.LeaseIdle = cli.IdleAcquired
	engine, err := a.Engine(ctx)
	if err != nil {
		return nil, err
	}
	if w.key == "" { // with a key, the server checks the name
		err = CheckName(a, ctx, engine, w.Name)
	}
	if err != nil {
		return nil, err
	}
	if bound.PID != 0 {
		if err := bindTo(a, &req, bound.PID); err != nil {
			return nil, err
		}
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	acquire := engine.Acquire
	if w.key != "" {
		acquire = keyed(a, engine, w.key)
	}
	leases, _, err := takeTimed(a, ctx, engine, req, acquire)
	err = a.Unread(source, err)
	a.Ring(ctx)
	if err == nil && bound.PID != 0 && req.For.PID == 0 {
		err = standFor(a, bound, leases)
	}
	became := "nothing is acquired"
	if w.key != "" {
		became = "the same with --key " + term.Line(w.key) + " tells what is acquired"
	}
	return leases, a.Interrupted(err, became)
}

// Hand prints the leases for the caller. If printing fails, it gives the leases back, unless the
// caller can ask again: nobody else would release them.
func Hand(a *cli.App, ctx context.Context, leases []compute.Lease, again bool) error {
	gone := make(chan os.Signal, 1)
	// a reader that has gone makes the write fail instead of ending this process
	signal.Notify(gone, syscall.SIGPIPE)
	defer signal.Stop(gone)
	var err error
	if a.JSON {
		views := make([]api.Lease, len(leases))
		for i, l := range leases {
			views[i] = api.NewLease(l)
		}
		err = a.PrintJSON(views)
	} else {
		err = term.Printf(a.Out, "%s\n", strings.Join(leaseNames(leases), " "))
	}
	if err == nil || len(leases) == 0 || again {
		return err
	}
	engine, e := a.Engine(ctx)
	for _, l := range leases {
		if engine != nil {
			e = errors.Join(e, engine.Release(ctx, compute.Who{Owner: l.Owner, Lease: l.ID}, compute.ReleaseOptions{}, l.Instance))
		}
	}
	a.Ring(ctx)
	names := strings.Join(leaseNames(leases), " ")
	if e != nil {
		return errors.Join(fmt.Errorf("the names cannot be printed: %w", err), fmt.Errorf("%s: not given back: %w", names, e))
	}
	return fmt.Errorf("the names cannot be printed: %w; %s: given back", err, names)
}

func leaseNames(leases []compute.Lease) []string {
	names := make([]string, len(leases))
	for i, l := range leases {
		names[i] = l.Handle()
	}
	return names
}

// progressText describes the progress of a request, for a terminal.
func progressText(p compute.Progress) string {
	switch p.Phase {
	case "create":
		return fmt.Sprintf("making %s", p.Instance)
	case "connect":
		if p.Reason != "" {
			return fmt.Sprintf("%s: waiting until it answers: %s", p.Instance, term.Line(p.Reason))
		}
		return fmt.Sprintf("%s: waiting until it answers", p.Instance)
	case "set-up":
		return fmt.Sprintf("%s: setting up", p.Instance)
	}
	return ""
}

// TellSecret writes a secret to a file that only its owner can read; "" writes nothing.
func TellSecret(a *cli.App, secret, file string) error {
	if file == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".hostler-*") // 0600
	if err != nil {
		return fault.Invalid("", "--output: %w", err)
	}
	_, err = f.WriteString(secret + "\n")
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fault.Invalid("", "--output: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// handTokens makes the tokens of new leases, and writes them to a file or, for "-", returns them.
// Each token is a line, after its instance's name if there are several. On an error the leases are
// given back.
func handTokens(a *cli.App, ctx context.Context, leases []compute.Lease, file string) (text string, err error) {
	defer func() {
		for _, l := range leases {
			if err != nil {
				err = errors.Join(
					err,
					a.Remote.Release(ctx, compute.Who{Owner: l.Owner, Lease: l.ID}, compute.ReleaseOptions{}, l.Instance),
				)
			}
		}
	}()
	var lines []string
	for _, l := range leases {
		t, err := a.Remote.LeaseToken(ctx, l.ID, false)
		if err != nil {
			return "", err
		}
		if len(leases) > 1 {
			t.Secret = string(l.Instance) + " " + t.Secret
		}
		lines = append(lines, t.Secret)
	}
	if text = strings.Join(lines, "\n"); file == "-" {
		return text, nil
	}
	return "", TellSecret(a, text, file)
}
