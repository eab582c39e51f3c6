package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/cloudcmd"
	"github.com/hostler-project/hostler/cli/deploycmd"
	"github.com/hostler-project/hostler/cli/imagecmd"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/metalcmd"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/servercmd"
	"github.com/hostler-project/hostler/cli/slaposcmd"
	"github.com/hostler-project/hostler/cli/sourcecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/run/status"
)

//go:embed doc.go
var manual string

// runHostler runs a command line of the name hostler.
func runHostler(ctx context.Context, a *cli.App, args []string) int {
	root := newRoot(a)
	args = slaposcmd.Spread(args)
	leasecmd.OnceEach(root, args)
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	cmd, err := root.ExecuteContextC(ctx)
	err = a.Interrupted(err, "")
	// the option may stand behind the one that is wrong
	if errors.Is(err, compute.ErrInvalid) && cmd != nil && cmd.Name() != "run" {
		own, _, _ := cli.CutWords(args, "--")
		a.JSON = a.JSON || slices.Contains(own, "--json")
	}
	if err != nil && !term.Ours(err) {
		err = a.UsageError(cmd, err)
	}
	a.Tell(err)
	n := term.ExitStatus(err)
	if err != nil && cmd != nil && runcmd.OwnStatuses(cmd) {
		n = status.OfRun(err)
	}
	a.Traces.End(err, n)
	return n
}

// newRoot makes the tree of commands. It opens nothing: what a command needs is opened when it
// runs.
func newRoot(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use:               "hostler",
		Short:             "Hostler keeps computers ready: ask for one, use it, give it back",
		Long:              manualText(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		TraverseChildren:  true, // -s before the verb
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Example:           "  hostler run sandbox -- make test\n  hostler acquire -s web && hostler status",
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], "hostler")
			}
			if asked, _ := cmd.Flags().GetBool("version"); asked {
				return printVersion(a)
			}
			return shortHelp(a, cmd)
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.CheckEmpty(cmd, args); err != nil {
				return err
			}
			return a.Begin(cmd)
		},
	}
	root.SetFlagErrorFunc(cli.FlagError)
	p := root.PersistentFlags()
	p.StringVarP(&a.Flags.Dir, "directory", "C", "", "work in `DIR` instead of the current directory")
	p.StringVar(&a.Host.ConfigDir, "config", "", "read `DIR` before the other roots of configuration")
	p.BoolVar(&a.JSON, "json", false, "print JSON; see docs/json.md")
	p.BoolVarP(&a.Quiet, "quiet", "q", false, "print only results and errors")
	p.BoolVar(&a.Debug, "debug", false, "say on standard error what is done")
	p.StringVar(&a.Flags.Controller, "controller", "", "ask the controller at `URL`, or at the socket unix:PATH")
	p.BoolVar(&a.Flags.Embedded, "embedded", false, "ask no controller, though there is one")
	p.StringVar(&a.Flags.Project, "project", "", "work in the project `NAME` of the controller; $HOSTLER_PROJECT unless it is said")
	p.StringVar(
		&a.Flags.Reason, "reason", "",
		"say why, in `WORDS` that the controller's audit log keeps; $HOSTLER_REASON unless it is said",
	)
	_ = root.RegisterFlagCompletionFunc("project", func(cmd *cobra.Command, p1 []string, p2 string) (cli.Candidates,
		cobra.ShellCompDirective) {
		return servercmd.CompleteProjects(a, cmd, p1, p2)
	})
	p.StringVar(&a.Flags.Ca, "ca", "", "trust the authority in `FILE` for the certificate of --controller; $HOSTLER_CA unless it is said")
	_ = root.MarkPersistentFlagFilename("ca")
	root.Flags().StringVarP(&a.Flags.Source, "source", "s", "", "use the source `NAME`; goes before the verb or after it")
	_ = root.RegisterFlagCompletionFunc("source", a.CompleteSources)
	_ = root.MarkPersistentFlagDirname("directory")
	_ = root.MarkPersistentFlagDirname("config")

	root.AddGroup(
		&cobra.Group{ID: "use", Title: "Use computers:"}, &cobra.Group{ID: "keep", Title: "Keep them:"},
		&cobra.Group{ID: "set", Title: "Set up and look:"},
	)
	for group, commands := range map[string][]func(*cli.App) *cobra.Command{
		"use": {leasecmd.NewAcquire, runcmd.NewRun, runcmd.NewWatch, runcmd.NewShell, runcmd.NewCp, runcmd.NewForward, runcmd.NewSSH,
			runcmd.NewSSHConfig, metalcmd.NewInventory, runcmd.NewGitlab,
			leasecmd.NewRelease, leasecmd.NewExtend, leasecmd.NewStatus, deploycmd.NewDeploy, deploycmd.NewList, deploycmd.NewDestroy,
			cloudcmd.NewCloud, slaposcmd.NewSlapos,
			runcmd.NewRuns, runcmd.NewLogs, runcmd.NewRerun, runcmd.NewAttach, runcmd.NewJob},
		"keep": {metalcmd.NewFill, metalcmd.NewPlan, metalcmd.NewDirector, leasecmd.NewHold, leasecmd.NewDiscard, leasecmd.NewQueue,
			slaposcmd.NewNode, leasecmd.NewEvents, servercmd.NewWebhook, runcmd.NewFacts},
		"set": {
			sourcecmd.NewSource, imagecmd.NewBundle, servercmd.NewApply, servercmd.NewDiff, imagecmd.NewImage, sourcecmd.NewConfig,
			sourcecmd.NewTrust, sourcecmd.NewDoctor, servercmd.NewServe, servercmd.NewReload,
			servercmd.NewLogin, servercmd.NewLogout, servercmd.NewToken, cli.NewKeeper, sourcecmd.NewStore, newCompat, leasecmd.NewTop,
			cli.NewCompletion, newVersion,
		},
		"": {newDocs, newAgent, leasecmd.NewStand, runcmd.NewRecorder, runcmd.NewSSHProxy},
	} {
		for _, make := range commands {
			cmd := make(a)
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	root.Flags().BoolP("version", "v", false, "print the version")
	root.SetHelpCommand(cli.NewHelp())
	root.SetHelpCommandGroupID("set")
	return root
}

// shortHelp is what hostler alone says.
func shortHelp(a *cli.App, cmd *cobra.Command) error {
	return term.Printf(a.Out, `%s
Hostler keeps computers ready: ask for one, use it as if it were local, give it back.

  %-33s obtain a computer, run a command on it, give it back
  hostler status                    what there is
  hostler help                      all commands
  hostler doctor                    what works on this machine
`, version.Line(), "hostler run "+cli.DefaultSource+" -- make test")
}

// manualText is the comment of this package, doc.go, as the text of `hostler help`.
func manualText() string {
	_, text, _ := strings.Cut(manual, "/*\n")
	text, _, _ = strings.Cut(text, "\n*/")
	return strings.ReplaceAll(text, "\n\t", "\n  ")
}
