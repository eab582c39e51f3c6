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

// hookSSH returns the name of a file with which the program ssh reaches a hook's instance: ssh -F
// FILE instance. A provider may have one of its own; for hosts of type ssh it is written here. ""
// where there is none, as where there is no program ssh to read it.
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
	if typ, err := h.TypeOf(ctx, h.pool, leaf); err != nil || typ != "ssh" {
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

// WriteFile replaces a file at once: another hook may be reading it.
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

// sshTime is how long ssh may take to say how it reaches a host.
const sshTime = 10 * time.Second

// sshWays are the keywords that say how a host is reached and known, of those that ssh -G prints.
var sshWays = []string{
	"hostname", "user", "port", "addressfamily", "bindaddress", "bindinterface", "connecttimeout", "serveraliveinterval",
	"serveralivecountmax",
	"identityfile", "identitiesonly", "identityagent", "certificatefile", "hostkeyalias", "userknownhostsfile", "globalknownhostsfile",
	"stricthostkeychecking", "proxyjump", "proxycommand",
}

// sshConfigOf asks ssh how it reaches a host, written as one gives it to ssh, and says so for the
// alias "instance" and the instance's name. What the user has configured for other hosts stays, as
// a way may lead over them.
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
		target = "ssh://" + target // how ssh takes a port
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
