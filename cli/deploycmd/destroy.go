package deploycmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
)

// destroyOptions are the options of destroy.
type destroyOptions struct {
	gate            deploy.Gate
	command         string
	all, force, yes bool
	anyones         bool
	old             bool // called as destroy-node
}

func NewDestroy(a *cli.App) *cobra.Command {
	var o destroyOptions
	cmd := &cobra.Command{
		Use:   "destroy NAME...",
		Short: "Unmake nodes, if tests have passed where that is asked for",
		Long: `Unmake nodes: give back what is under each NAME, which is a node's or an instance's, and have it discarded. Only what deploy made goes, or what has a name that begins with
one of destroyable-prefixes in [deploy] of hostler.conf; anything else takes --force. Either all names are good or nothing is changed.

With --junit, --if or both, nodes go only when all tests have passed. Files may be JUnit's XML, TAP, and what go test -json prints. A file without tests, or with a suite
that does not say how many failed, keeps the nodes unless --allow-empty is given.`,
		Example: "  hostler destroy web-1\n  hostler destroy web-1 --junit 'results/*.xml'\n  hostler destroy $(hostler list --json | jq -r '.[].name') --yes",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return destroy(a, cmd.Context(), &o, args)
		},
		ValidArgsFunction: func(cmd *cobra.Command, p1 []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeNodes(a, cmd, p1, p2)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(
		&o.gate.Files, "junit", "t", nil,
		"only if all tests in `FILE`, or in the files of a pattern, have passed; may be repeated",
	)
	f.BoolVar(&o.gate.AllowEmpty, "allow-empty", false, "take a file without tests for passed")
	f.StringVar(&o.command, "if", "", "only if `COMMAND`, run by sh here, returns 0")
	f.BoolVar(&o.all, "all", false, "all that a NAME can mean, where that is several")
	f.BoolVarP(&o.force, "force", "f", false, "also what deploy did not make")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask on a terminal")
	f.BoolVar(&o.anyones, "any", false, "whoever has the lease; for administrators")
	return cmd
}

func destroy(a *cli.App, ctx context.Context, o *destroyOptions, names []string) error {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	settings, err := deploySettings(a)
	if err != nil {
		return err
	}
	owner := a.Owner()
	if o.anyones {
		owner = ""
	}
	all, err := nodes(a, ctx, engine, owner)
	if err != nil {
		return err
	}
	chosen, err := chooseNodes(all, names, o, settings.Free())
	if err != nil {
		return err
	}
	if err := passed(a, ctx, o); err != nil {
		return err
	}
	if !o.yes && !o.old && !a.Compat && a.CanAsk() && !askAll(a, chosen) {
		return fault.Denied("--yes does not ask", "nothing is destroyed")
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	done := make([]leasecmd.ReleasedView, 0, len(chosen))
	var ids []compute.ID
	for _, n := range chosen {
		ids = append(ids, n.lease.Instance)
		if n.lease.Share != nil {
			// other leases on the same instance stay
			ids[len(ids)-1] = compute.ID(n.lease.ID)
		}
		done = append(done, leasecmd.ReleasedView{Name: n.name(), Instance: string(n.lease.Instance)})
	}
	who := a.Who(ctx, engine, names...)
	who.Admin = o.anyones
	opt := compute.ReleaseOptions{Force: true}
	if err = engine.Release(ctx, who, opt, ids...); err == nil && !o.old {
		err = leasecmd.SayReleased(a, ctx, engine, done, opt)
	}
	a.Ring(context.WithoutCancel(ctx))
	return a.Interrupted(err, "what was given back goes all the same")
}

// chooseNodes finds the named nodes. It refuses ambiguous names and protected nodes.
func chooseNodes(all []node, names []string, o *destroyOptions, free []string) ([]node, error) {
	var out []node
	var errs []error
	for _, name := range names {
		var found []node
		for _, n := range all {
			if n.lease.Name == name || string(n.lease.Instance) == name || n.lease.ID == name {
				found = append(found, n)
			}
		}
		if i := slices.IndexFunc(found, func(n node) bool { return n.lease.ID == name }); i >= 0 {
			found = found[i : i+1]
		}
		switch {
		case len(found) == 0:
			var known []string
			for _, n := range all {
				known = append(known, n.name())
			}
			errs = append(
				errs,
				&compute.Error{
					ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no node of this name"),
					Hint: cmp.Or(term.DidYouMean(name, known, ""), "hostler list"),
				},
			)
			continue
		case len(found) > 1 && !o.all && !o.old:
			var ids []string
			for _, n := range found {
				ids = append(ids, fmt.Sprintf("%s (%s)", n.lease.ID, n.lease.Instance))
			}
			errs = append(errs, fault.Conflict("say the id, or --all: "+strings.Join(ids, ", "), "%s: %d are called so", name, len(found)))
			continue
		}
		for _, n := range found {
			if !n.isNode() && !deploy.Destroyable(n.name(), free) && !o.force {
				errs = append(
					errs,
					fault.Denied(
						"--force destroys it all the same",
						"%s: deploy did not make it, and its name begins with none of %s", name,
						strings.Join(free, ", "),
					),
				)
				continue
			}
			if !slices.ContainsFunc(out, func(b node) bool { return b.lease.ID == n.lease.ID }) {
				out = append(out, n)
			}
		}
	}
	return out, errors.Join(errs...)
}

// passed checks the gate.
func passed(a *cli.App, ctx context.Context, o *destroyOptions) error {
	if err := o.gate.Check(); err != nil {
		return err
	}
	if o.command == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", o.command)
	// standard output is for what destroy says
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, a.Err, a.Err
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return fault.Conflict("", "%w: --if ended with %s", deploy.ErrTests, exit.ProcessState)
	case err != nil:
		return fault.Invalid("", "--if: %v", err)
	}
	return nil
}

// askAll asks the user about all nodes together.
func askAll(a *cli.App, nodes []node) bool {
	var names []string
	for _, n := range nodes {
		names = append(names, fmt.Sprintf("%s (%s)", n.name(), n.lease.Instance))
	}
	return a.Confirm("destroy " + strings.Join(names, ", ") + "?")
}

// deploySettings reads the section [deploy].
func deploySettings(a *cli.App) (deploy.Settings, error) {
	var s deploy.Settings
	cfg, err := a.Host.Configuration()
	if err != nil {
		return s, err
	}
	section := cfg.Sections["deploy"]
	settings := map[string]string{}
	for k, v := range section {
		settings[k] = v.Text
	}
	at := func(key string) (string, int) {
		v := section[strings.ReplaceAll(key, "-", "_")]
		return v.File, v.Line
	}
	err = config.Decode(settings, at, &s)
	if err == nil && s.OnFailure != "" && !slices.Contains(deploy.Policies, s.OnFailure) {
		v := section["on_failure"]
		err = &config.Error{
			File: v.File, Line: v.Line, Key: v.Key,
			Msg: fmt.Sprintf("%q is none of %s", v.Text, strings.Join(deploy.Policies, ", ")),
		}
	}
	return s, host.ConfigError(err)
}
