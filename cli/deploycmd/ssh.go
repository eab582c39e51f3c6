package deploycmd

import (
	"context"
	"maps"
	"strconv"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider/sshhost"
	"github.com/hostler-project/hostler/remote/openssh"
)

// The facts of an instance about ssh. Sources may have them; for the type ssh they come from
// OpenSSH's configuration.
const (
	factSSHHost    = "ssh_host"
	factSSHPort    = "ssh_port"
	factSSHUser    = "ssh_user"
	factSSHKey     = "ssh_key"
	factSSHHostKey = "ssh_host_key"
)

// nodeSSH says how to reach a node by ssh, if its source tells; nil: only through `hostler ssh`.
func nodeSSH(i compute.Instance) *deploy.SSH {
	host := i.Facts[factSSHHost]
	if host == "" {
		return nil
	}
	port, err := strconv.Atoi(i.Facts[factSSHPort])
	if err != nil {
		port = 22
	}
	return &deploy.SSH{User: i.Facts[factSSHUser], Host: host, Port: port, Key: i.Facts[factSSHKey], HostKey: i.Facts[factSSHHostKey]}
}

// sshFacts adds the facts about ssh of an instance of type ssh. If they cannot be found out, as for
// a controller's source, it adds none.
func sshFacts(a *cli.App, ctx context.Context, i compute.Instance) compute.Instance {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return i
	}
	s, err := cfg.Source(i.Source)
	if err != nil || s.Kind != sshhost.Kind || s.Err != nil || i.ProviderID == "" {
		return i
	}
	var k sshhost.Options
	if config.Decode(s.Settings, host.PositionOf(cfg, s.Name, s.Type), &k) != nil {
		return i
	}
	user, host, port := openssh.SplitDestination(i.ProviderID)
	n, _ := strconv.Atoi(port) // 0: not given
	t, err := openssh.Resolve(ctx, openssh.Options{Host: host, User: user, Port: n, ConfigFile: k.ConfigFile})
	if err != nil {
		return i
	}
	facts := map[string]string{factSSHHost: t.Host, factSSHPort: t.Port, factSSHUser: t.User, factSSHKey: t.Identity()}
	if lines := openssh.NewHostKeys(t).Lines(); len(lines) > 0 {
		facts[factSSHHostKey] = lines[0]
	}
	maps.Copy(facts, i.Facts)
	i.Facts = facts
	return i
}
