// Command hostler keeps computers ready. It has what starts often: taking, using and giving back
// computers, with the kinds of sources that link few libraries. hostlerd beside it has everything;
// hostler replaces itself by it for all else, docs/decisions/0001-processes.md says why.
package main

import (
	"os"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/root"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/selfcmd"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/program"
	"github.com/hostler-project/hostler/image/subprocess"
)

func main() {
	// agents start often, and need none of the other verbs
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		os.Exit(selfcmd.RunAgent(os.Args[2:]))
	}
	os.Exit(Main(os.Args))
}

// Main runs one command line and returns the exit status. argv[0] says by which name it was called.
func Main(argv []string) int {
	if len(argv) == 0 {
		argv = []string{"hostler"}
	}
	if len(argv) == 5 && argv[1] == host.AnswersCommand {
		return runcmd.RunAnswers(argv[2], argv[3], argv[4])
	}
	light := root.Program{
		Groups: []root.Group{{Commands: needed(argv[1:])}}, Kinds: host.Kinds(), Registry: subprocess.Registry{Command: program.Command},
		Compose: func(a *cli.App) { a.Host.Migrate, a.Host.GoTemplate = program.Migrate, program.GoTemplate },
		AsRun:   runcmd.OwnStatuses, Whole: program.ReplaceBy,
		Before: runcmd.KeepFiles, // not before: systemd's sockets are for hostlerd
	}
	return light.Main(argv, os.Stdin, os.Stdout, os.Stderr)
}
