package deploycmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
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

// deployNode makes one node as deploy does, and prints the results of its scripts. The exit status
// is the sum of theirs.
func deployNode(a *cli.App, ctx context.Context, o *oldNodeOptions, words []string) error {
	if len(words) > 0 {
		return fault.Invalid("", "deploy-node takes no words beside options: %q", words)
	}
	d := &deploying{app: a, opt: &o.deploy}
	o.deploy.old, o.deploy.count, o.deploy.userID, o.deploy.secretKey = true, 1, o.userID, o.secretKey
	if err := d.prepare(ctx); err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	nodes, err := d.run(ctx)
	a.Ring(context.WithoutCancel(ctx))
	err = errors.Join(err, d.reports(nodes))
	if s := a.Signal(); s != "" && errors.Is(err, context.Canceled) {
		return &term.Interruption{Signal: s, Became: became(nodes)}
	}
	if err != nil {
		return err
	}
	n := nodes[0]
	public, private := deploy.Existing{Lease: n.Lease, Instance: n.Instance}.Addresses()
	if err := term.Printf(a.Out, "%s %s\n", n.Name, strings.Join(append(public, private...), " ")); err != nil {
		return err
	}
	var statuses []int
	for _, s := range n.Steps {
		if !s.Script {
			continue
		}
		statuses = append(statuses, s.Status)
		if err := a.WriteContent(fmt.Sprintf(
			"*%s: %d\n%s\n%s\n", s.Name, s.Status, d.show.mask(s.Text), d.show.mask(s.Output),
		)); err != nil {
			return err
		}
	}
	if sum := deploy.ScriptStatus(statuses); sum != 0 {
		return term.Exit(sum)
	}
	return nil
}

// listNodes prints a line for each node: its name and its first public address.
func listNodes(a *cli.App, ctx context.Context, _ *oldNodeOptions, words []string) error {
	if len(words) > 0 {
		return fault.Invalid("", "list-nodes takes no words beside options: %q", words)
	}
	settings, err := deploySettings(a)
	if err != nil {
		return err
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	source := cmp.Or(a.Flags.Source, settings.Source)
	if source != "" && !a.IsSource(source) {
		return noSource(a, ctx, source)
	}
	a.Due(ctx)
	all, err := deploy.List(ctx, engine, a.Owner())
	if err != nil {
		return err
	}
	for _, n := range all {
		if source != "" && n.Lease.Source != source || n.Lease.Name == "" {
			continue
		}
		public, private := n.Addresses()
		if err := term.Printf(a.Out, "%s %s\n", n.Name(), cli.First(append(public, private...))); err != nil {
			return err
		}
	}
	return nil
}

// destroyNode destroys all nodes of exactly this name.
func destroyNode(a *cli.App, ctx context.Context, o *oldNodeOptions, words []string) error {
	if len(words) != 1 || words[0] == "" {
		return fault.Invalid("destroy-node NAME", "one name is to be given")
	}
	o.destroy.old = true
	err := destroy(a, ctx, &o.destroy, words)
	if errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied) {
		a.TellAs(a.Program, err)
		return term.Exit(deploy.StatusRefused)
	}
	return err
}
