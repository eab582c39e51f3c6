package exec

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// overExec opens a connection by local processes, behind the prefix from the executable.
func (p *Provider) overExec(t *execTarget, id compute.ID) (compute.Conn, error) {
	if len(t.Prefix) > 0 && t.Prefix[0] == "" {
		return nil, p.wrong("connect", id, "a prefix that begins with an empty word")
	}
	if t.Root != "" && len(t.Prefix) == 0 {
		// Files would go to the root, but commands would run on this machine itself.
		return nil, p.wrong("connect", id, "a root without a prefix that leads into it")
	}
	for _, path := range []string{t.Root, t.Dir} {
		if path != "" && !filepath.IsAbs(path) {
			return nil, p.wrong("connect", id, fmt.Sprintf("a path that is not absolute, %q", path))
		}
	}
	return process.New(process.Options{Prefix: t.Prefix, Root: t.Root, Dir: t.Dir}), nil
}

// overSSH opens a connection by ssh.
func (p *Provider) overSSH(ctx context.Context, t *sshTarget, id compute.ID) (compute.Conn, error) {
	o := sshconn.Options{Host: t.Host, User: t.User, Port: t.Port, ConfigFile: t.ConfigFile}
	if t.KeyFile != "" {
		o.IdentityFiles = []string{t.KeyFile}
	}
	if t.KnownHosts != "" && t.ConfigFile == "" {
		config, err := p.knownHosts(t.KnownHosts)
		if err != nil {
			return nil, &compute.Error{Op: p.o.Type + ".connect", ID: id, Kind: compute.ErrFailed, Err: err}
		}
		o.ConfigFile = config
	}
	conn, err := sshconn.Dial(ctx, o)
	if err != nil {
		return nil, &compute.Error{Op: p.o.Type + ".connect", ID: id, Err: err, Hint: compute.Hint(err)}
	}
	return conn, nil
}

// knownHosts returns an OpenSSH configuration that trusts the host keys of one file only. There is
// one configuration for each content, beside the source's other files: ssh reads it again for every
// new connection.
func (p *Provider) knownHosts(path string) (string, error) {
	if p.o.Dir == "" {
		return "", errors.New("known_hosts needs a directory of the source's own")
	}
	if !filepath.IsAbs(path) || strings.ContainsAny(path, "\"\n\\%$") {
		return "", fmt.Errorf("known_hosts %q: not a plain absolute path", path)
	}
	text := fmt.Sprintf("Host *\n    UserKnownHostsFile \"%s\"\n    GlobalKnownHostsFile none\n    StrictHostKeyChecking yes\n", path)
	digest := sha256.Sum256([]byte(text))
	name := filepath.Join(p.o.Dir, fmt.Sprintf("ssh-%x.conf", digest[:8]))
	if old, err := os.ReadFile(name); err == nil && string(old) == text {
		return name, nil
	}
	if err := os.MkdirAll(p.o.Dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(p.o.Dir, "ssh-*.new")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) // it is gone already if all went well
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return name, os.Rename(f.Name(), name)
}
