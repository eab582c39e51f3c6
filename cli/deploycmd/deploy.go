package deploycmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// deployOptions are the options of deploy.
type deployOptions struct {
	leasecmd.AcquireFlags
	name, prefix string
	leasecmd.Choice
	bundles, vars, matrix []string
	count, parallel       int
	allOrNothing          bool
	onFailure             string
	description, report   string
	userID, secretKey     string
	logs, as, via         string

	old bool // called as deploy-node
}

func NewDeploy(a *cli.App) *cobra.Command {
	var o deployOptions
	cmd := &cobra.Command{
		Use:   "deploy [NAME]",
		Short: "Make a node: a computer under a name, with bundles put on it",
		Long: `Make a node of a source: take an instance under NAME, or a made-up name, put bundles on it, and leave it there. It is a lease like others: status shows it, run and
shell take its name, list lists it, and destroy, release or its ttl end it. A made-up name has a ttl of 24 hours; one that is given none.

Bundles are those of [deploy] in hostler.conf, those for the image, and those of -b, in this order. The name is printed the moment there is something under it; what scripts
print comes on standard error, each line with the node's name where there are several, and is kept in a file. A script that fails fails its node.`,
		Example: `  hostler deploy web-1 -s lab -b nginx -t port=8080
  hostler deploy -s lab --count 20 --all-or-nothing --junit nodes.xml
  hostler deploy t -s lab -b app --matrix image=debian-12,debian-13 --matrix port=80,8080
  hostler deploy --ttl 2h --on-failure destroy -d node.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if o.name != "" && o.name != args[0] {
					return fault.Invalid("", "--name %s and %s: one name is enough", o.name, args[0])
				}
				o.name = args[0]
			}
			return deployNodes(a, cmd.Context(), &o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.WithSource(cmd)
	f := cmd.Flags()
	o.AcquireFlags.Common(a, f)
	f.StringVarP(&a.Flags.Source, "provider", "p", "", "as --source")
	_ = f.MarkHidden("provider")
	f.StringVarP(&o.name, "name", "n", "", "give the node a `NAME`; with --count NAME-1, NAME-2, ...")
	f.StringVarP(&o.prefix, "prefix", "x", "", "begin a made-up name with `TEXT`")
	f.StringArrayVarP(&o.bundles, "bundle", "b", nil, "put the bundle `NAME` on it too; may be repeated")
	f.StringArrayVarP(
		&o.vars, "var", "t", nil,
		"set the variable `KEY=VALUE` of templates, VALUE or env:, file:, command:, keyring: with where it is; may be repeated",
	)
	o.Choice.Flags(a, cmd, "i")
	f.Lookup("image").Usage += "; or an alias of [deploy]"
	f.IntVar(&o.count, "count", 1, "make `N` nodes; with --matrix, of each kind")
	f.StringArrayVar(
		&o.matrix, "matrix", nil,
		"make nodes of each of several: `KEY=VALUE,VALUE` of image, flavor, location or a variable; with several --matrix, of each combination",
	)
	f.IntVar(&o.parallel, "parallel", 0, "work on `N` nodes at a time (64)")
	f.BoolVar(&o.allOrNothing, "all-or-nothing", false, "when one fails, destroy all of them")
	f.StringVar(&o.onFailure, "on-failure", "", "`WHAT` becomes of a node that fails: keep, destroy or ask (keep)")
	f.StringVarP(&o.description, "description-file", "d", "", "write a description of the node to `FILE` as JSON; of several, a list")
	f.StringVar(&o.report, "junit", "", "write the results of the scripts to `FILE` as JUnit's XML")
	f.StringVar(&o.logs, "logs", "", "keep what scripts print in `DIR`")
	f.StringVar(&o.as, "as", "", "set up as `WHOM`: root, by sudo if need be, or self, the user whom commands have (root)")
	f.StringVar(&o.via, "via", "", "`WAY` of bundles onto it: ssh, user-data, or auto: at its first boot, where that can be (ssh)")
	f.StringVarP(&o.userID, "userid", "u", "", "the user `ID` for the provider, where the source takes it from env:"+envUserID)
	f.StringVarP(
		&o.secretKey, "secret-key", "k", "",
		"the secret `KEY` for the provider, where the source takes it from env:"+envSecretKey+"; all users of this machine see it",
	)
	for _, name := range []string{"description-file", "junit"} {
		_ = cmd.MarkFlagFilename(name)
	}
	_ = cmd.MarkFlagDirname("logs")
	_ = cmd.RegisterFlagCompletionFunc("bundle", a.CompleteBundles)
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions([]string{"root", "self"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("via", cobra.FixedCompletions(deploy.Vias, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("on-failure", cobra.FixedCompletions(deploy.Policies, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// deployNodes makes nodes.
func deployNodes(a *cli.App, ctx context.Context, o *deployOptions) error {
	d := &deploying{app: a, opt: o}
	_, err := d.deploy(ctx)
	return err
}
