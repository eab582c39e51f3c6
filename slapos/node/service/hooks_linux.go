package service

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute/fault"
	slaposnode "github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/firewall"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/hook"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// addHooks adds the hooks and the firewall of the configuration file to an agent.
func (n *Node) addHooks(ctx context.Context, a *slaposnode.Agent, sv *supervise.Client) error {
	hooks, err := n.hooks(sv)
	if err != nil {
		return err
	}
	a.Hook = func(ctx context.Context, p *slaposnode.PartitionDir, done bool) error {
		if !done {
			return nil
		}
		return hooks.Done(ctx, p.Partition, p.Home)
	}
	f, groups, err := n.firewall()
	if err != nil || f == nil {
		return err
	}
	for _, g := range groups {
		if _, err := sv.Put(ctx, g); err != nil {
			return err
		}
		if err := sv.Start(ctx, g.Name); err != nil {
			return err
		}
	}
	a.Firewall = func(ctx context.Context, p *slaposnode.PartitionDir, wanted bool) error {
		if !wanted {
			return f.Clear(ctx, p.Partition, p.Home)
		}
		return f.Set(ctx, p.Partition, p.Home)
	}
	return nil
}

// hooks returns the hooks of manager_list, each with its section [manager:NAME].
func (n *Node) hooks(sv hook.Supervisor) (*hook.Hooks, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	forward := []string{self, "slapos", "node", "forward"}
	if filepath.Base(self) == "slapos" { // a copy of this program, not a link
		forward = slices.Delete(forward, 1, 2)
	}
	h, err := hook.New(hook.Options{
		Names: n.Settings.Managers, Supervisor: sv, PowerUsers: n.Settings.PowerUsers, Forwarder: forward,
		Log:       n.say,
		User:      func(d *home.Dir) (*runas.User, error) { return runas.As(d.Owner()) },
		Retention: func(d *home.Dir) (time.Time, error) { return report.Retention(d, time.Now()) },
		Setting: func(name, key string) ([]string, error) {
			for _, section := range n.File.Sections() {
				rest, ok := strings.CutPrefix(section, "manager")
				if ok && len(rest) > 1 && strings.TrimSpace(rest[1:]) == name && n.File.Has(section, key) {
					return n.File.Lines(section, key)
				}
			}
			return nil, nil
		},
	})
	if err != nil {
		return nil, fault.Invalid("", "%s: %w", n.Path, err)
	}
	return h, nil
}

// firewall returns the firewall for routed addresses and the programs that it needs; nil if the
// file has no section [firewall].
func (n *Node) firewall() (*firewall.Firewall, []supervise.Group, error) {
	const section = "firewall"
	if !slices.Contains(n.File.Sections(), section) {
		return nil, nil, nil
	}
	values := map[string]string{}
	for _, key := range []string{
		"firewall_cmd", "reload_config_cmd", "dbus_executable", "dbus_log_file", "firewall_executable", "log_file",
	} {
		text, err := n.File.Text(section, key)
		if err != nil {
			return nil, nil, fault.Invalid("", "%w", err)
		}
		values[key] = text
	}
	authorized, err := n.File.Lines(section, "authorized_sources")
	if err != nil {
		return nil, nil, fault.Invalid("", "%w", err)
	}
	f := &firewall.Firewall{
		Master: n.master, Command: strings.Fields(values["firewall_cmd"]),
		Reload: strings.Fields(values["reload_config_cmd"]), Authorized: authorized,
		Log: n.say,
	}
	var groups []supervise.Group
	for _, one := range []struct{ name, program, log string }{
		{"dbus", values["dbus_executable"], values["dbus_log_file"]},
		{"firewall", values["firewall_executable"], values["log_file"]},
	} {
		argv := strings.Fields(one.program)
		if len(argv) == 0 {
			continue
		}
		p := supervise.Program{Name: one.name, Command: argv, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")}, Keep: supervise.Again}
		if filepath.IsAbs(one.log) {
			p.Dir, p.Log = filepath.Dir(one.log), filepath.Base(one.log)
		}
		groups = append(groups, supervise.Group{Name: one.name, Programs: []supervise.Program{p}})
	}
	return f, groups, nil
}
