package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/deploycmd"
	"github.com/hostler-project/hostler/cli/metalcmd"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/slaposcmd"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider"
)

func main() {
	// many are started in a moment: without all that the other verbs need
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		os.Exit(runAgent(os.Args[2:]))
	}
	os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// kinds are the kinds of sources that this program has.
func kinds() provider.Table { return append(host.Kinds(), clouds.Kinds()...) }

// Main is the program: it runs one command line and returns the exit status. The name in argv[0]
// says whose command line it is.
func Main(argv []string, in io.Reader, out, errs io.Writer) int {
	if len(argv) == 0 {
		argv = []string{"hostler"}
	}
	if len(argv) == 5 && argv[1] == host.AnswersCommand {
		return runcmd.RunAnswers(argv[2], argv[3], argv[4])
	}
	runcmd.KeepFiles()
	a := cli.NewApp(in, out, errs)
	a.Host.Kinds = kinds()
	a.Commands = newRoot
	defer a.Host.Close()
	if strings.TrimSuffix(filepath.Base(argv[0]), ".exe") == "crcache" {
		return runCrcache(context.Background(), a, argv[1:])
	}
	if strings.TrimSuffix(filepath.Base(argv[0]), ".exe") == metalcmd.ArsenalName {
		return metalcmd.RunArsenal(context.Background(), a, argv[1:])
	}
	if strings.TrimSuffix(filepath.Base(argv[0]), ".exe") == cli.SlaposName {
		return slaposcmd.RunSlapos(context.Background(), a, argv[1:])
	}
	// a script of that name, as a stand-alone has one, completes as the link does
	if len(argv) > 2 && argv[1] == cli.SlaposName && strings.HasPrefix(argv[2], cobra.ShellCompRequestCmd) {
		return slaposcmd.RunSlapos(context.Background(), a, argv[2:])
	}
	if name := deploycmd.OldNodeName(argv[0]); name != "" {
		return deploycmd.RunOldNode(context.Background(), a, name, argv[1:])
	}
	return runHostler(context.Background(), a, argv[1:])
}
