package runcmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/missingpaths"
)

// DoctorSandbox runs a command in a sandbox, and reports the hidden paths that it looked for.
func DoctorSandbox(a *cli.App, cmd *cobra.Command, words []string) error {
	ctx := cmd.Context()
	switch at := cmd.ArgsLenAtDash(); {
	case len(words) == 0:
		return fault.Invalid("hostler doctor --sandbox -- make test", "--sandbox is for a command, and there is none")
	case at < 0:
		return fault.Invalid("hostler doctor --sandbox -- "+strings.Join(words, " "), "put -- before the command")
	case at > 0:
		return fault.Invalid(
			"hostler doctor --sandbox -s SOURCE -- COMMAND", "with --sandbox, what stands before -- is no command: %q",
			words[0],
		)
	case words[0] == "":
		return cli.EmptyName("")
	}
	if _, err := a.Engine(ctx); err != nil {
		return err
	}
	if a.Remote != nil {
		return fault.Invalid("hostler --embedded doctor --sandbox -- COMMAND asks no controller",
			"a controller makes the sandboxes, and it alone knows what they hide")
	}
	name, err := a.SourceName()
	if err != nil {
		return err
	}
	source, err := a.Configured(name)
	if err == nil {
		err = host.ConfigError(check.FaultOf(source))
	}
	if err != nil {
		return err
	}
	if _, ok := leasecmd.HostRooted(a, name); !ok {
		return fault.Invalid(
			"hostler doctor --sandbox -s sandbox -- COMMAND",
			"the source %s makes no sandboxes of this machine's own root, so it hides nothing", name,
		)
	}
	o := &runOptions{verb: "doctor", given: givenFlags(cmd)}
	opt, err := o.request(a, ctx, "", words)
	if err != nil {
		return err
	}
	if a.JSON { // standard output is for the document
		opt.Stdout = a.Err
	}
	opt.Around = hiddenWatcher(a).Around
	_, err = run.Run(ctx, &leasecmd.Backend{App: a, Flags: &o.acquire}, opt)
	return err
}

// hiddenWatcher watches a command of this process's own engine.
func hiddenWatcher(a *cli.App) *missingpaths.Tracer {
	return &missingpaths.Tracer{
		Agent: host.FindAgent,
		Leaf: func(ctx context.Context, id compute.ID) (leaf compute.Instance, p compute.Provider, err error) {
			engine, err := a.Host.Engine(ctx)
			if err == nil {
				leaf, err = engine.Leaf(ctx, id)
			}
			if err == nil {
				p, err = engine.Provider(ctx, leaf.Source)
			}
			return leaf, p, err
		},
		Show: func(source string) string {
			if s, err := a.Configured(source); err == nil {
				return s.Settings["show"]
			}
			return ""
		},
		Report: func(r *missingpaths.Report, err error) {
			if err == nil {
				err = tellHidden(a, r)
			}
			if err != nil {
				a.Tell(fmt.Errorf("which hidden paths were looked for is not known: %w", err))
			}
		},
	}
}
