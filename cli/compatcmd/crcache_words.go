package compatcmd

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
)

// crcacheCommand is a verb of the old program.
type crcacheCommand struct {
	name, usage, short string
	flags              func(*pflag.FlagSet, *crcacheOptions)
	run                func(*cli.App, context.Context, *crcacheOptions, []string) error
}

// crcacheOptions are the options of all verbs.
type crcacheOptions struct {
	here, source, query string
	quiet, help, debug  bool
	force, verbose      bool
	recursive           bool
}

// errUsage is an error in the arguments.
type errUsage struct{ text string }

func (e *errUsage) Error() string { return e.text }

func usage(format string, args ...any) error { return &errUsage{fmt.Sprintf(format, args...)} }

// parseCrcache finds the verb, its options and its words. Options may stand before and after the
// verb, but not after -- or the first word of run's command.
func parseCrcache(args []string) (*crcacheCommand, *crcacheOptions, []string, error) {
	o := &crcacheOptions{}
	args = slices.Clone(args)
	for i, arg := range args { // pflag takes no "?" for a letter
		if arg == "--" {
			break
		}
		if arg == "-?" {
			args[i] = "--help"
		}
	}
	set := func(name string) *pflag.FlagSet {
		f := pflag.NewFlagSet(name, pflag.ContinueOnError)
		f.SetOutput(io.Discard)
		f.Usage = func() {}
		f.StringVarP(&o.here, "here", "d", o.here, "work in this directory instead of the current one")
		f.BoolVarP(&o.quiet, "quiet", "q", o.quiet, "print only results and errors")
		f.BoolVarP(&o.help, "help", "h", o.help, "explain")
		f.BoolVar(&o.debug, "debug", o.debug, "say on standard error what is done")
		return f
	}
	before := set("crcache")
	before.StringVarP(&o.source, "source", "s", "", "")
	before.SetInterspersed(false)
	if err := before.Parse(args); err != nil {
		return nil, o, nil, err
	}
	if before.NArg() == 0 {
		if before.Changed("source") {
			return nil, o, nil, usage("-s, and no command that takes a source")
		}
		return nil, o, nil, nil
	}
	verb, rest := before.Arg(0), before.Args()[1:]
	commands := crcacheCommands()
	i := slices.IndexFunc(commands, func(c crcacheCommand) bool { return c.name == verb })
	if i < 0 {
		return nil, o, nil, usage("unknown command %q; `crcache commands` lists them", verb)
	}
	cmd := commands[i]
	early := o.source
	f := set(verb)
	cmd.flags(f, o)
	if early != "" {
		if f.Lookup("source") == nil {
			return nil, o, nil, fmt.Errorf("%s takes no -s", verb)
		}
		o.source = early
	}
	f.SetInterspersed(verb != "run")
	if err := f.Parse(rest); err != nil {
		return nil, o, nil, err
	}
	if verb != "run" || f.NArg() == 0 {
		return &cmd, o, f.Args(), nil
	}
	name := f.Arg(0)
	if err := f.Parse(f.Args()[1:]); err != nil {
		return nil, o, nil, err
	}
	return &cmd, o, append([]string{name}, f.Args()...), nil
}
