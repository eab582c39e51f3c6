package compatcmd

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/text/visible"
)

// crcacheShort prints what crcache alone says.
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

// crcacheHelp explains a verb: how it is called, and its options.
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
