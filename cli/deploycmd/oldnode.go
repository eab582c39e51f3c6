package deploycmd

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/text/visible"
)

// oldNode is a program of provision's.
type oldNode struct {
	usage, short string
	run          func(*cli.App, context.Context, *oldNodeOptions, []string) error
}

// oldNodeOptions are the options of all three programs.
type oldNodeOptions struct {
	paths                       []string
	provider, userID, secretKey string
	help                        bool

	deploy  deployOptions
	destroy destroyOptions
}

var oldNodePrograms = map[string]oldNode{
	"deploy-node":  {"deploy-node [OPTION...]", "Make a node, and print what its scripts did.", deployNode},
	"list-nodes":   {"list-nodes [OPTION...]", "List nodes, each with its address.", listNodes},
	"destroy-node": {"destroy-node [OPTION...] NAME", "Unmake all nodes of exactly this name.", destroyNode},
}

// flags declares a program's options, with their old spellings.
func (o *oldNodeOptions) flags(program string) *pflag.FlagSet {
	f := pflag.NewFlagSet(program, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.SortFlags = false
	f.StringArrayVarP(&o.paths, "config_paths", "c", nil, "read the configuration in `DIR` too; may be repeated")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "-", "_"))
	})
	f.StringVarP(&o.provider, "provider", "p", "", "the source `NAME`")
	f.StringVarP(&o.userID, "userid", "u", "", "the user `ID` for the provider")
	f.StringVarP(&o.secretKey, "secret_key", "k", "", "the secret `KEY` for the provider; all users of this machine see it")
	f.BoolVarP(&o.help, "help", "h", false, "explain")
	var verbose string
	switch program {
	case "deploy-node":
		d := &o.deploy
		f.StringArrayVarP(&d.bundles, "bundles", "b", nil, "put the bundle `NAME` on it too; may be repeated")
		f.StringVarP(&d.description, "description_file", "d", "", "write a description of the node to `FILE` as JSON")
		f.StringVarP(&d.Image, "image", "i", "", "the image `NAME`")
		f.StringVarP(&d.Location, "location", "l", "", "the location, by its number in the provider's list, id or name")
		f.StringVarP(&d.name, "name", "n", "", "the node's `NAME`")
		f.StringVarP(&d.Flavor, "size", "s", "", "the size, by its number in the provider's list, id or name")
		f.StringArrayVarP(&d.vars, "subvars", "t", nil, "set the variable `KEY=VALUE` of templates; may be repeated")
		f.StringVarP(&d.prefix, "prefix", "x", "", "begin a made-up name with `TEXT`")
		f.StringVarP(&verbose, "verbose", "v", "", "anything; what is done is printed in any case")
	case "destroy-node":
		f.StringArrayVarP(&o.destroy.gate.Files, "testresults", "t", nil, "only if all tests in `FILE` have passed; may be repeated")
		f.BoolVarP(&o.destroy.force, "force", "f", false, "also what deploy did not make and whose name is none of destroyable-prefixes")
	}
	return f
}

// RunOldNode runs a command line of one of provision's programs.
func RunOldNode(ctx context.Context, a *cli.App, name string, args []string) int {
	program := oldNodePrograms[name]
	a.Program, a.Compat, a.Host.Compat = name, true, true
	o := &oldNodeOptions{}
	f := o.flags(name)
	if err := f.Parse(args); err != nil {
		_ = term.Printf(a.Err, "%s: %s\n", name, err)
		return deploy.StatusUnreadable
	}
	if o.help {
		_ = term.Printf(
			a.Out, "usage: %s\n\n%s\n\noptions:\n%s", program.usage, visible.Block(program.short),
			visible.Block(f.FlagUsages()),
		)
		return 0
	}
	a.LogDebug()
	a.Host.Log = a.Log
	a.Flags.Source = o.provider
	err := oldPaths(a, o.paths)
	if err == nil {
		err = program.run(a, ctx, o, f.Args())
	}
	err = a.Interrupted(err, "")
	var own term.Exit
	var ended *term.Interruption
	switch {
	case errors.As(err, &own):
		return int(own)
	case errors.As(err, &ended):
		_ = term.Printf(a.Err, "%s: %s\n", name, ended)
		return ended.Status()
	}
	a.TellAs(name, err)
	return deploy.OldStatus(err)
}
