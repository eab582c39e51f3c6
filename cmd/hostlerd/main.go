package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/bundle/gotemplate"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/selfcmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/controller/apiprocess"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/program"
	"github.com/hostler-project/hostler/image/registry"
	"github.com/hostler-project/hostler/image/subprocess"
	"github.com/hostler-project/hostler/store/sqlite/migration"
)

func main() {
	// agents start often, and need none of the other verbs
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		os.Exit(selfcmd.RunAgent(os.Args[2:]))
	}
	if err := program.CheckCaller(); err != nil {
		os.Exit(whole.Refuse(os.Args, err, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// Main runs one command line and returns the exit status.
func Main(argv []string, in io.Reader, out, errs io.Writer) int {
	if len(argv) == 0 {
		argv = []string{"hostler"}
	}
	if len(argv) == 5 && argv[1] == host.AnswersCommand {
		return runcmd.RunAnswers(argv[2], argv[3], argv[4])
	}
	if len(argv) == 2 && argv[1] == apiprocess.Subcommand {
		return apiprocess.Main()
	}
	if len(argv) == 2 && argv[1] == subprocess.Word {
		return subprocess.Serve(in, out, registry.Client{})
	}
	if len(argv) == 3 && argv[1] == program.MigrateWord {
		return served(errs, migration.Up(context.Background(), argv[2]))
	}
	if len(argv) == 2 && argv[1] == program.TemplateWord {
		return served(errs, program.ServeTemplate(in, out, gotemplate.Expand))
	}
	runcmd.KeepFiles()
	// a script of this name, as in a stand-alone, completes like the link
	if len(argv) > 2 && argv[1] == cli.SlaposName && strings.HasPrefix(argv[2], cobra.ShellCompRequestCmd) {
		argv = argv[1:]
	}
	return whole.Main(argv, in, out, errs)
}

// served is the end of a process that works for hostler: it says the error and returns the status.
func served(errs io.Writer, err error) int {
	if err != nil {
		_ = term.Printf(errs, "%v\n", err)
		return 1
	}
	return 0
}
