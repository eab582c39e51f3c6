package imagecmd

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
)

// applying has the request of `bundle apply`.
type applying struct {
	bundles []string
	on      string
	vars    []string
	opt     bundle.ApplyOptions
	anyones bool
}

func newBundleApply(a *cli.App) *cobra.Command {
	var r applying
	cmd := &cobra.Command{
		Use:   "apply BUNDLE... --on INSTANCE|LEASE",
		Short: "Bring an instance to what bundles say",
		Long: `Bring an instance that you have acquired to what bundles say: keys, then files, then scripts in order. Only what is not as it should be is done: a record on the
instance says which scripts have run, and files are compared. After one that failed, the next apply goes on at the step that failed. It stops at the first
failure unless --continue is given. What scripts print goes to standard error.`,
		Example: "  hostler bundle apply web --on build-3\n  hostler bundle apply web dev --on build-3 --dry-run --diff -t port=8080",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: a.CompleteBundles,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.bundles = args
			if r.on == "" {
				return fault.Invalid("say on which instance: --on INSTANCE", "bundle apply needs --on")
			}
			if !slices.Contains([]string{"root", "self"}, r.opt.As) {
				return fault.Invalid("--as root, or --as self", "--as %s: is neither root nor self", r.opt.As)
			}
			return bundleApply(a, cmd.Context(), r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.on, "on", "", "the instance, by its name or its lease's: `NAME`")
	_ = cmd.RegisterFlagCompletionFunc("on", a.CompleteLeased)
	f.StringArrayVarP(&r.vars, "var", "t", nil, "give a variable a value: `NAME=VALUE`; VALUE may be env:NAME, file:PATH or command:WORDS")
	f.BoolVarP(&r.opt.DryRun, "dry-run", "n", false, "only say what would be done")
	f.BoolVar(&r.opt.Diff, "diff", false, "show what changes in files")
	f.BoolVar(&r.opt.Continue, "continue", false, "go on after a script that failed")
	f.StringVar(&r.opt.As, "as", "root", "as `WHOM`: root, by sudo if need be, or self, who logs in there")
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions([]string{"root", "self"}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&r.anyones, "any", false, "use the instance whoever has the lease; for administrators")
	return cmd
}

// bundleApply puts bundles on an instance that somebody has leased.
func bundleApply(a *cli.App, ctx context.Context, r applying) error {
	p, err := planBundles(a, ctx, r.bundles, r.vars)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	c, conn, err := leasecmd.Reach(a, ctx, r.on, r.anyones)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	i := c.Instance
	r.opt.Facts = host.BundleFacts(&i)
	if c.Lease.Labels[deploy.Label] != "" {
		r.opt.Facts["name"] = c.Lease.Name // deploy set it up with this name
	}
	r.opt.Reconnect = func(ctx context.Context) (compute.Conn, error) {
		return host.ConnectPatiently(ctx, func() (compute.Conn, error) {
			conn, _, err := c.Connect(ctx)
			return conn, err
		})
	}
	output, _ := term.Displayed(a.Err)
	r.opt.Output = func(*bundle.Step) (stdout, stderr io.Writer) { return output, output }
	if !a.JSON && !a.Quiet {
		r.opt.Notify = func(o bundle.Outcome) {
			if o.Action == bundle.Running && o.Step.Kind == bundle.KindScript {
				_ = term.Printf(a.Err, "== %s\n", term.Line(o.Step.Title()))
			}
		}
	}
	res, err := bundle.Apply(ctx, conn, p, r.opt)
	err = a.Interrupted(err, "what was done stays, and the next apply goes on after it")
	if e := applied(a, string(i.ID), res, r, err); e != nil {
		return e
	}
	return err
}
