package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/selfcmd"
	"github.com/hostler-project/hostler/cli/sshcmd"
)

// commands are those that this program runs by itself, by their names. They are in hostlerd as
// well, whose help has all of them in groups.
var commands = map[string]func(*cli.App) *cobra.Command{
	"acquire": leasecmd.NewAcquire, "release": leasecmd.NewRelease, "extend": leasecmd.NewExtend, "status": leasecmd.NewStatus,
	"hold": leasecmd.NewHold, "discard": leasecmd.NewDiscard, "queue": leasecmd.NewQueue, "events": leasecmd.NewEvents,
	"run": runcmd.NewRun, "watch": runcmd.NewWatch, "shell": runcmd.NewShell, "cp": runcmd.NewCp, "forward": runcmd.NewForward,
	"ssh": sshcmd.NewSSH, "ssh-config": sshcmd.NewSSHConfig,
	"runs": runcmd.NewRuns, "logs": runcmd.NewLogs, "rerun": runcmd.NewRerun, "attach": runcmd.NewAttach, "job": runcmd.NewJob,
	"stand": leasecmd.NewStand, "recorder": runcmd.NewRecorder, "ssh-proxy": sshcmd.NewSSHProxy,
	"version": selfcmd.NewVersion(hostler.Sums), "agent": selfcmd.NewAgent,
}

// needed returns the commands that a command line can need: the one that it begins with, or all.
// Making all of them takes a third of the start.
func needed(words []string) []func(*cli.App) *cobra.Command {
	if len(words) > 0 && words[0] != "rerun" && words[0] != "job" { // these run others
		if one, ok := commands[words[0]]; ok {
			return []func(*cli.App) *cobra.Command{one}
		}
	}
	return slices.Collect(maps.Values(commands))
}
