package leasecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/text/visible"
)

// acquireOptions are the options of acquire.
type acquireOptions struct {
	AcquireFlags
	pid    string // the lease ends with this process; "": with none
	token  string // the file for the leases' own tokens; "-": standard output; "": none are made
	record string // the file for the decisions; "": none
}

func NewAcquire(a *cli.App) *cobra.Command {
	var o acquireOptions
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
			if o.key != "" && a.Within == nil && a.Host.Whole != nil {
				return a.Host.Whole() // which has a server for it
			}
			count, err := acquireCount(a, args)
			if err != nil {
				return err
			}
			return acquire(a, cmd.Context(), &o, count)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.Declare(a, cmd)
	cmd.Flags().StringVar(
		&o.token, "token", "",
		"print the lease's own token on a line of its own, or write it to `FILE`: who has it may use and give back that lease, and nothing else",
	)
	cmd.Flags().Lookup("token").NoOptDefVal = "-"
	cmd.Flags().StringVar(
		&o.key, "key", "",
		"take this once, however often it is asked for with `KEY`: the same again is given the same leases, and another request with that key is refused. Until a day after their end",
	)
	cmd.Flags().StringVar(&o.record, "record", "", "write down in `FILE` how it is decided, for hostler debug replay")
	cmd.Flags().StringVar(&o.pid, "for", "", "the lease ends with the process `PID`")
	return cmd
}

// acquire takes instances and prints their names.
func acquire(a *cli.App, ctx context.Context, o *acquireOptions, count int) error {
	if o.token == "-" && a.JSON {
		return fault.Invalid("--token=FILE writes it there", "--token and --json both say what is printed")
	}
	if o.token != "" {
		if _, err := a.Engine(ctx); err != nil {
			return err
		}
		if a.Remote == nil {
			return fault.Invalid(
				"hostler serve starts one; --controller names one elsewhere",
				"--token: a lease's own token needs a controller, and this command works by itself",
			)
		}
	}
	done, err := record(a, ctx, o.record)
	if err != nil {
		return err
	}
	leases, err := Acquire(a, ctx, &o.AcquireFlags, count, o.pid)
	if done(); err != nil {
		return err
	}
	var secrets string
	if o.token != "" {
		if secrets, err = handTokens(ctx, a.Remote, leases, o.token); err != nil {
			return err
		}
	}
	if err := Hand(a, ctx, leases, o.key != ""); err != nil || secrets == "" {
		return err
	}
	return term.Printf(a.Out, "%s\n", visible.Block(secrets))
}
