package host

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

// hookSSH returns a file for `ssh -F FILE instance` in hooks. It is the provider's own if it has
// one; for the user's own hosts it is written here. "": there is none, or no program ssh.
func (h *Host) hookSSH(ctx context.Context, c pool.HookCall, def definition, state string) string {
	leaf, settings := c.Instance, def.Settings
	if leaf.Child != "" {
		var err error
		if leaf, err = h.pool.Leaf(ctx, leaf.Child); err != nil {
			return ""
		}
		settings = nil
	}
	if f := leaf.Facts["ssh_config"]; f != "" {
		return f
	}
	if typ, err := h.TypeOf(ctx, h.pool, leaf); err != nil || !h.Kinds.Kind(typ).SSH {
		return ""
	}
	if s, err := h.cfg.Source(leaf.Source); err == nil && settings == nil {
		settings = s.Settings
	}
	text, err := sshConfigOf(ctx, c.Instance.ID, leaf.ProviderID, settings["config_file"])
	if err == nil {
		file := filepath.Join(state, "instances", c.Source, "ssh", url.PathEscape(string(c.Instance.ID)))
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = WriteFile(file, text)
		}
		if err == nil {
			return file
		}
	}
	h.Log.Warn("no ssh configuration for hooks", "instance", c.Instance.ID, "err", err)
	return ""
}

// WriteFile replaces a file atomically, as another hook may be reading it.
func WriteFile(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// sshTime is how long ssh -G may take.
const sshTime = 10 * time.Second

// sshWays are the keywords of ssh -G's output that say how to reach and verify a host.
var sshWays = []string{
	"hostname", "user", "port", "addressfamily", "bindaddress", "bindinterface", "connecttimeout", "serveraliveinterval",
	"serveralivecountmax",
	"identityfile", "identitiesonly", "identityagent", "certificatefile", "hostkeyalias", "userknownhostsfile", "globalknownhostsfile",
	"stricthostkeychecking", "proxyjump", "proxycommand",
}

// sshConfigOf asks ssh how it reaches a host, and writes that for the alias "instance" and the
// instance's name. It includes the user's configuration, as the way may use other hosts as jump
// hosts.
func sshConfigOf(ctx context.Context, id compute.ID, target, configFile string) ([]byte, error) {
	args, includes := []string{"-G"}, []string{}
	if configFile != "" {
		file, err := filepath.Abs(configFile)
		if err != nil {
			return nil, err
		}
		args, includes = append(args, "-F", file), []string{file}
	} else if h, err := Home(); err == nil {
		includes = []string{filepath.Join(h, ".ssh", "config"), "/etc/ssh/ssh_config"}
	}
	if _, _, err := net.SplitHostPort(target[strings.LastIndexByte(target, '@')+1:]); err == nil && !strings.Contains(target, "://") {
		target = "ssh://" + target // the form in which ssh takes a port
	}
	ctx, cancel := context.WithTimeout(ctx, sshTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", append(args, "--", target)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ssh -G: %w", err)
	}
	var b bytes.Buffer
	b.WriteString("Host instance")
	if !strings.ContainsAny(string(id), "@*?!, \"") {
		b.WriteString(" " + string(id))
	}
	b.WriteString("\n")
	for line := range strings.Lines(string(out)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); slices.Contains(sshWays, key) && value != "" {
			fmt.Fprintf(&b, "\t%s %s\n", key, value)
		}
	}
	b.WriteString("Host *\n")
	for _, f := range includes {
		if _, err := os.Stat(f); err == nil {
			fmt.Fprintf(&b, "\tInclude \"%s\"\n", f)
		}
	}
	return b.Bytes(), nil
}
