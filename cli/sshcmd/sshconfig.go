package sshcmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/text/visible"
)

func NewSSHConfig(a *cli.App) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "ssh-config [NAME...]",
		Short: "Print a configuration with which ssh, scp, rsync and editors reach instances",
		Long: `Print a configuration for OpenSSH by which its programs, and all that call them, reach the named instances, or all that you have leased: by the instance's name and by
the lease's. It needs no ssh server there and no keys: hostler is the connection (ProxyCommand). At its end stands a pattern that is good for ever: NAME` + sshSuffix + ` is the
instance, the lease or, acquired for the time of the connection, one of the source NAME. USER@NAME is that user there; without it it is the one that
the commands of hostler run have. With --json: what other programs need to connect so.`,
		Example: "  hostler ssh-config >~/.ssh/hostler.conf     and in ~/.ssh/config: Include hostler.conf\n  hostler ssh-config web-3 >c && rsync -e 'ssh -F c' -a src web-3:",
		RunE: func(cmd *cobra.Command, args []string) error {
			return sshConfig(a, cmd.Context(), args, all)
		},
		ValidArgsFunction: a.CompleteLeased,
	}
	cmd.Flags().BoolVar(&all, "all", false, "all instances that are leased, whoever has them; for administrators")
	return cmd
}

// sshView is an instance as ssh reaches it, in `ssh-config --json`.
type sshView struct {
	Name         string   `json:"name"`
	Source       string   `json:"source"`
	Hosts        []string `json:"hosts"`
	User         string   `json:"user"`
	ProxyCommand []string `json:"proxy_command"`
	HostKey      string   `json:"host_key"`
	KnownHosts   string   `json:"known_hosts"`
	Alias        string   `json:"host_key_alias"`
}

// sshConfig prints a section of ssh's configuration for each leased instance, and one for any
// name.
func sshConfig(a *cli.App, ctx context.Context, names []string, all bool) error {
	w, leases, err := wayTo(a, ctx, names, all)
	if err != nil {
		return err
	}
	views := make([]sshView, len(leases))
	for i, l := range leases {
		views[i] = sshView{Name: string(l.Instance), Source: l.Source, Hosts: hostNames(l), User: sshUser,
			ProxyCommand: w.command(string(l.Instance)), HostKey: w.key,
			KnownHosts: w.known, Alias: sshUser}
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	var b strings.Builder
	for _, v := range views {
		b.WriteString("Host " + strings.Join(v.Hosts, " ") + "\n" + w.lines(v.Name) + "\n")
	}
	w.any = false
	b.WriteString("Host *" + sshSuffix + "\n" + w.lines("%n"))
	return term.Printf(a.Out, "%s", visible.Block(b.String()))
}
