package sshcmd

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/remote/sshserve"
)

// way says how ssh reaches instances through hostler.
type way struct {
	words []string // the command without the name
	known string   // the file with our host key
	key   string   // the key itself, as in known_hosts
	any   bool
}

// newWay returns the way with the options of this command.
func newWay(a *cli.App) (*way, error) {
	words, err := cli.OwnCommand(a)
	if err != nil {
		return nil, err
	}
	w := &way{words: words}
	key, known, err := hostKey()
	if err != nil {
		return nil, err
	}
	w.known, w.key = known, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	return w, nil
}

// wayTo returns the way to leased instances, and their leases: the user's own, those that are
// named, or all.
func wayTo(a *cli.App, ctx context.Context, names []string, all bool) (*way, []compute.Lease, error) {
	engine, err := a.Engine(ctx)
	if err != nil {
		return nil, nil, err
	}
	leases, err := leasesOf(a, ctx, engine, names, all)
	if err != nil {
		return nil, nil, err
	}
	w, err := newWay(a)
	if err != nil {
		return nil, nil, err
	}
	w.any = all
	return w, leases, nil
}

// command returns the command that ssh runs to reach a name.
func (w *way) command(name string) []string {
	out := append([]string{}, w.words...)
	out = append(out, "ssh-proxy")
	if w.any {
		out = append(out, "--any")
	}
	return append(out, name)
}

// options returns ssh's options for an instance's name, or for %n, the name that ssh was given.
func (w *way) options(name string) [][2]string {
	proxy := w.command(name)
	for i, word := range proxy {
		if word != "%n" {
			proxy[i] = strings.ReplaceAll(shell.Word(word), "%", "%%")
		}
	}
	return [][2]string{
		{"ProxyCommand", strings.Join(proxy, " ")}, {"User", sshUser}, {"HostKeyAlias", sshUser},
		{"UserKnownHostsFile", `"` + w.known + `"`},
		{"StrictHostKeyChecking", "yes"}, {"PubkeyAuthentication", "no"}, {"PasswordAuthentication", "no"},
		{"KbdInteractiveAuthentication", "no"},
	}
}

// lines returns the options as lines of a file.
func (w *way) lines(name string) string {
	var b strings.Builder
	for _, o := range w.options(name) {
		b.WriteString("\t" + o[0] + " " + o[1] + "\n")
	}
	return b.String()
}

// hostKey returns hostler's host key for ssh, and the known_hosts file with it. It makes them at
// first use.
func hostKey() (ssh.Signer, string, error) {
	state, err := host.StateDir()
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Join(state, "ssh")
	key, err := sshserve.HostKey(filepath.Join(dir, "host_key"), sshUser)
	if err != nil {
		return nil, "", err
	}
	line, known := sshUser+" "+string(ssh.MarshalAuthorizedKey(key.PublicKey())), filepath.Join(dir, "known_hosts")
	if old, err := os.ReadFile(known); err != nil || string(old) != line {
		if err := host.WriteFile(known, []byte(line)); err != nil {
			return nil, "", err
		}
	}
	return key, known, nil
}
