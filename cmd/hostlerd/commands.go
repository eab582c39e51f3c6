package main

import (
	"context"
	_ "embed"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler"
	"github.com/hostler-project/hostler/bundle/gotemplate"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/cloudcmd"
	"github.com/hostler-project/hostler/cli/compatcmd"
	"github.com/hostler-project/hostler/cli/debugcmd"
	"github.com/hostler-project/hostler/cli/deploycmd"
	"github.com/hostler-project/hostler/cli/imagecmd"
	"github.com/hostler-project/hostler/cli/keepercmd"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/metalcmd"
	"github.com/hostler-project/hostler/cli/root"
	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/selfcmd"
	"github.com/hostler-project/hostler/cli/servercmd"
	"github.com/hostler-project/hostler/cli/slaposcmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/nodecmd"
	"github.com/hostler-project/hostler/cli/sourcecmd"
	"github.com/hostler-project/hostler/cli/sshcmd"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/image/registry"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/sqlite/migration"
)

//go:embed doc.go
var manual string

// whole has all commands and former names.
var whole = root.Program{
	Manual:   manual,
	Kinds:    append(host.Kinds(), clouds.Kinds()...),
	Registry: registry.Client{},
	Groups: []root.Group{
		{ID: "use", Title: "Use computers:", Commands: commands{
			leasecmd.NewAcquire, runcmd.NewRun, runcmd.NewWatch, runcmd.NewShell, runcmd.NewCp, runcmd.NewForward, sshcmd.NewSSH,
			sshcmd.NewSSHConfig, sshcmd.NewInventory, runcmd.NewGitlab,
			leasecmd.NewRelease, leasecmd.NewExtend, leasecmd.NewStatus, deploycmd.NewDeploy, deploycmd.NewList, deploycmd.NewDestroy,
			cloudcmd.NewCloud, slaposcmd.NewSlapos,
			runcmd.NewRuns, runcmd.NewLogs, runcmd.NewRerun, runcmd.NewAttach, runcmd.NewJob,
		}},
		{ID: "keep", Title: "Keep them:", Commands: commands{
			metalcmd.NewFill, metalcmd.NewPlan, metalcmd.NewDirector, leasecmd.NewHold, leasecmd.NewDiscard, leasecmd.NewQueue,
			nodecmd.NewNode, leasecmd.NewEvents, servercmd.NewWebhook, runcmd.NewFacts,
		}},
		{ID: "set", Title: "Set up and look:", Commands: commands{
			sourcecmd.NewSource, imagecmd.NewBundle, servercmd.NewApply, servercmd.NewDiff, imagecmd.NewImage, sourcecmd.NewConfig,
			sourcecmd.NewTrust, sourcecmd.NewDoctor, debugcmd.NewDebug, servercmd.NewServe, servercmd.NewReload,
			servercmd.NewLogin, servercmd.NewLogout, servercmd.NewToken, keepercmd.NewKeeper, servercmd.NewStore,
			compatcmd.NewCompat(names(former)), leasecmd.NewTop, selfcmd.NewCompletion, selfcmd.NewVersion(hostler.Sums),
		}},
		{Commands: commands{
			selfcmd.NewDocs, selfcmd.NewAgent, leasecmd.NewStand, runcmd.NewRecorder, sshcmd.NewSSHProxy,
		}},
	},
	Former: former,
	Words:  slaposcmd.Spread,
	AsRun:  runcmd.OwnStatuses,
	Compose: func(a *cli.App) {
		a.Host.Database, a.Host.Migrate, a.Host.GoTemplate = database, migration.Up, gotemplate.Expand
		a.Within = func(engine cli.Engine) (*client.Client, func(), error) { return servercmd.Within(a, engine) }
	},
}

// database opens the database that [store] names.
func database(ctx context.Context, address string, log *slog.Logger) (host.Database, error) {
	return postgres.Open(ctx, address, postgres.Options{Log: log})
}

type commands = []func(*cli.App) *cobra.Command

// former are programs whose command lines hostler accepts when it is called by their names.
var former = []root.Former{
	{Name: "crcache", Run: compatcmd.RunCrcache},
	oldNode("deploy-node"), oldNode("list-nodes"), oldNode("destroy-node"),
	{Name: metalcmd.ArsenalName, Run: metalcmd.RunArsenal},
	{Name: cli.SlaposName, Run: slaposcmd.RunSlapos},
}

// oldNode is one of provision's programs.
func oldNode(name string) root.Former {
	return root.Former{Name: name, Run: func(ctx context.Context, a *cli.App, args []string) int {
		return deploycmd.RunOldNode(ctx, a, name, args)
	}}
}

func names(all []root.Former) (out []string) {
	for _, f := range all {
		out = append(out, f.Name)
	}
	return out
}
