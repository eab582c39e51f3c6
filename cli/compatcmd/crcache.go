package compatcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	engines "github.com/hostler-project/hostler/compute/engine"
	"github.com/hostler-project/hostler/host/version"
	runner "github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/session"
	"github.com/hostler-project/hostler/text/visible"
)

// crcache's exit statuses. run has that of the command.
const (
	crcacheBadArgument = 1
	crcacheBadOption   = 2
	crcacheFailed      = 3
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

// crcacheCommands lists the verbs, sorted by name.
func crcacheCommands() []crcacheCommand {
	source := func(f *pflag.FlagSet, o *crcacheOptions) {
		f.StringVarP(&o.source, "source", "s", "local", "the source to acquire from")
	}
	none := func(*pflag.FlagSet, *crcacheOptions) {}
	return []crcacheCommand{
		{"acquire", "acquire [-s SOURCE] [COUNT]", "Acquire instances of a source and print their names.", source, crcacheAcquire},
		{"commands", "commands", "List the commands.", none, crcacheList},
		{"cp", "cp [-r] SRC... DST", "Copy files to or from instances: NAME:PATH.", func(f *pflag.FlagSet, o *crcacheOptions) {
			f.BoolVarP(&o.recursive, "recursive", "r", false, "copy directories")
		}, crcacheCp},
		{"help", "help [COMMAND]", "Explain a command.", none, crcacheHelp},
		{"quickstart", "quickstart", "Introduce crcache.", none, crcacheQuickstart},
		{"release", "release [-f] NAME...", "Release instances.", func(f *pflag.FlagSet, o *crcacheOptions) {
			f.BoolVarP(&o.force, "force", "f", false, "discard them, whatever the reserve")
		}, crcacheRelease},
		{"run", "run NAME [COMMAND [ARG...]] [-- ARG...]", "Run a command, or a shell, on an instance.", none, crcacheRun},
		{"status", "status [SOURCE...] [-v] [--query FIELD]", "Show what is cached and in use.", func(f *pflag.FlagSet, o *crcacheOptions) {
			f.BoolVarP(&o.verbose, "verbose", "v", false, "list the instances in use")
			f.StringVar(&o.query, "query", "", "print one number: available, cached, in-use or max")
		}, crcacheStatus},
	}
}

// RunCrcache runs a command line of the name crcache.
func RunCrcache(ctx context.Context, a *cli.App, args []string) int {
	a.Program, a.Compat = "crcache", true
	a.Host.Former, a.Host.Compat = "crcache", true
	cmd, o, words, err := parseCrcache(args)
	var bad *errUsage
	switch {
	case errors.As(err, &bad):
		_ = term.Printf(a.Err, "crcache: %s\n", bad.text)
		return crcacheBadArgument
	case err != nil:
		_ = term.Printf(a.Err, "crcache: %s\n", err)
		return crcacheBadOption
	}
	a.Quiet, a.Flags.Dir, a.Debug = o.quiet, o.here, o.debug
	a.LogDebug()
	a.Host.Log = a.Log
	if o.here != "" {
		if err := os.Chdir(o.here); err != nil {
			_ = term.Printf(a.Err, "crcache: %s\n", err)
			return crcacheFailed
		}
	}
	switch {
	case cmd == nil:
		err = crcacheShort(a)
	case o.help:
		err = crcacheHelp(a, ctx, o, []string{cmd.name})
	default:
		err = cmd.run(a, ctx, o, words)
	}
	err = a.Interrupted(err, "")
	var own term.Exit
	var ended *term.Interruption
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own):
		return int(own)
	case errors.As(err, &ended):
		_ = term.Printf(a.Err, "crcache: %s\n", ended)
		return ended.Status()
	case errors.As(err, &bad):
		_ = term.Printf(a.Err, "crcache: %s\n", bad.text)
		return crcacheBadArgument
	}
	_ = term.Printf(a.Err, "crcache: %s\n", term.ErrorText(err))
	return crcacheFailed
}

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

func crcacheShort(a *cli.App) error {
	return term.Printf(a.Out, `crcache %s (hostler)

  crcache help [COMMAND]   explain a command
  crcache commands         list the commands
  crcache quickstart       introduce crcache
`, version.Read().Version)
}

func crcacheList(a *cli.App, _ context.Context, _ *crcacheOptions, words []string) error {
	if len(words) > 0 {
		return usage("commands takes no arguments")
	}
	var rows [][]string
	for _, c := range crcacheCommands() {
		rows = append(rows, []string{c.name, c.short})
	}
	return term.Table(a.Out, []string{"command", "description"}, rows)
}

func crcacheHelp(a *cli.App, _ context.Context, _ *crcacheOptions, words []string) error {
	if len(words) == 0 {
		return crcacheShort(a)
	}
	for _, c := range crcacheCommands() {
		if c.name == words[0] {
			f := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
			f.StringP("here", "d", "", "work in this directory instead of the current one")
			f.BoolP("quiet", "q", false, "print only results and errors")
			f.BoolP("help", "h", false, "explain (also -?)")
			c.flags(f, &crcacheOptions{})
			return term.Printf(a.Out, "usage: crcache %s\n\n%s\n\noptions:\n%s", c.usage, c.short, visible.Block(f.FlagUsages()))
		}
	}
	return usage("unknown command %q; `crcache commands` lists them", words[0])
}

func crcacheQuickstart(a *cli.App, _ context.Context, _ *crcacheOptions, _ []string) error {
	return term.Printf(a.Out, `crcache keeps computers ready. A source is a directory ~/.config/crcache/sources/NAME (or .crcache/sources/NAME in a project) with a file
source.conf:

  type=ssh
  ssh_host=build1
  reserve=1

Without any there is one source, local: this machine.

  crcache acquire -s NAME     take an instance; prints its name
  crcache run INSTANCE make   run a command on it
  crcache cp INSTANCE:log .   copy files out and in
  crcache release INSTANCE    give it back
  crcache status              what is cached and in use

This is hostler, called by its old name. hostler help shows what it can do beside.
`)
}

func crcacheAcquire(a *cli.App, ctx context.Context, o *crcacheOptions, words []string) error {
	count := 1
	if len(words) > 1 {
		return usage("acquire takes one COUNT")
	}
	if len(words) == 1 {
		n, err := strconv.Atoi(words[0])
		if err != nil || n < 0 {
			return usage("COUNT %q is not a number of instances", words[0])
		}
		count = n
	}
	if o.source == "" {
		return usage("-s: empty name")
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	leases, err := leasecmd.Take(a, ctx, engine, compute.Request{Source: o.source, Count: count, Owner: a.Owner(), TTL: -1, Idle: -1})
	if err != nil {
		return err
	}
	return leasecmd.Hand(a, ctx, leases, false)
}

func crcacheRelease(a *cli.App, ctx context.Context, o *crcacheOptions, words []string) error {
	if len(words) == 0 {
		return usage("release what? NAME...")
	}
	return leasecmd.Release(a, ctx, words, leasecmd.Scope{}, false, compute.ReleaseOptions{Force: o.force})
}

func crcacheStatus(a *cli.App, ctx context.Context, o *crcacheOptions, words []string) error {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	if o.query != "" && !slices.Contains(engines.Queries, o.query) {
		return term.Exit(crcacheBadQuery(a, o.query))
	}
	a.Due(ctx, words...)
	sources, err := engine.Status(ctx)
	if err != nil {
		return err
	}
	// hostler's own sources have instances in the same state. They are not configured here, so
	// nothing is known of them.
	sources = slices.DeleteFunc(sources, func(s compute.SourceStatus) bool { return s.Orphaned && !a.IsSource(s.Name) })
	if sources, err = leasecmd.Choose(sources, words); err != nil {
		return err
	}
	if o.query != "" {
		if n := engines.Sum(sources, o.query); n != nil {
			return term.Printf(a.Out, "%d\n", *n)
		}
		return term.Printf(a.Out, "unlimited\n")
	}
	rows := make([][]string, len(sources))
	for i, s := range sources {
		rows[i] = leasecmd.CrcacheRow(s)
	}
	if err := term.Table(a.Out, []string{"source", "cached", "in-use", "max"}, rows); err != nil || !o.verbose {
		return err
	}
	instances, _, err := engines.InstancesOf(ctx, engine, sources)
	if err != nil {
		return err
	}
	rows = rows[:0]
	last := ""
	for _, i := range instances {
		if i.State != compute.Leased {
			continue
		}
		name := i.Source
		if name == last {
			name = ""
		}
		last = i.Source
		rows = append(rows, []string{name, string(i.ID)})
	}
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	return term.Table(a.Out, []string{"source", "instance"}, rows)
}

func crcacheBadQuery(a *cli.App, query string) int {
	_ = term.Printf(a.Err, "crcache: --query %s: one of %s\n", query, strings.Join(engines.Queries, ", "))
	return crcacheBadOption
}

func crcacheRun(a *cli.App, ctx context.Context, _ *crcacheOptions, words []string) (err error) {
	if len(words) == 0 {
		return usage("run where? NAME [COMMAND...]")
	}
	b := &leasecmd.Backend{App: a}
	r := runner.New(b, runner.Options{
		Args: words[1:], Stdin: a.In, Stdout: a.Out, Stderr: a.Err, Signals: true, Typed: term.IsTerminal(a.In),
		Printer: &a.Terminal, Terminal: runcmd.OwnTerminal(a), Session: session.Options{Keep: true},
	})
	if err := crcacheLease(a, ctx, b, r.Session, words[0]); err != nil {
		return err
	}
	err = r.Run(ctx)
	var own term.Exit
	if err != nil && !errors.As(err, &own) && (errors.Is(err, compute.ErrNoCommand) || errors.Is(err, compute.ErrNotExecutable)) {
		_ = term.Printf(a.Err, "crcache: %s\n", term.ErrorText(err))
		return term.Exit(crcacheFailed)
	}
	return err
}

// crcacheLease makes a session use the named instance: under its lease, or this machine itself
// without one.
func crcacheLease(a *cli.App, ctx context.Context, b *leasecmd.Backend, s *session.Session, name string) (err error) {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	s.Engine, s.Who = engine, a.Who(ctx, engine, name)
	i, lease, err := engine.Resolve(ctx, name)
	switch {
	case err == nil && lease != nil:
		err = s.Take(ctx, i)
	case localOf(a, name) != "":
		s.Lease, b.Direct, err = compute.Lease{Instance: compute.ID(name)}, localOf(a, name), nil
	case err == nil:
		err = s.Take(ctx, i) // this reports that it is not acquired
	}
	s.Given = &s.Lease
	return err
}

// localOf returns the source of type local whose only instance has this name, or "". crcache uses
// it without a lease.
func localOf(a *cli.App, name string) string {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return ""
	}
	for _, s := range cfg.Sources {
		if s.Kind.Itself && s.Err == nil && name == s.Name+"-local" {
			return s.Name
		}
	}
	return ""
}

func crcacheCp(a *cli.App, ctx context.Context, o *crcacheOptions, words []string) error {
	if len(words) < 2 {
		return usage("cp SRC... DST")
	}
	return runcmd.Cp(a, ctx, words[:len(words)-1], words[len(words)-1], o.recursive, false)
}
