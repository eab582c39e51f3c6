package compatcmd

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// crcache's exit statuses. run has that of the command.
const (
	crcacheBadArgument = 1
	crcacheBadOption   = 2
	crcacheFailed      = 3
)

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
