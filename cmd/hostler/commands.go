package main

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/selfcmd"
)

// commands are those that this program runs by itself. They are in hostlerd as well, whose help
// has all of them in groups.
var commands = []func(*cli.App) *cobra.Command{
	leasecmd.NewAcquire, leasecmd.NewRelease, leasecmd.NewExtend, leasecmd.NewStatus, leasecmd.NewHold, leasecmd.NewDiscard,
	leasecmd.NewQueue, leasecmd.NewEvents, leasecmd.NewStand,
	runcmd.NewRun, runcmd.NewWatch, runcmd.NewShell, runcmd.NewCp, runcmd.NewForward, runcmd.NewSSH, runcmd.NewSSHConfig,
	runcmd.NewRuns, runcmd.NewLogs, runcmd.NewRerun, runcmd.NewAttach, runcmd.NewJob, runcmd.NewRecorder, runcmd.NewSSHProxy,
	selfcmd.NewVersion(hostler.Sums), selfcmd.NewAgent,
}
