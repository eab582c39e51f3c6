package ec2

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/keys"
	"github.com/hostler-project/hostler/provider/ec2/session"
	"github.com/hostler-project/hostler/remote/install"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// young is how long after its start an instance may refuse the log-in: its key may not be installed
// yet.
const young = 3 * time.Minute

// Connect logs in and checks the host's key. ErrNotReady: the instance boots.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	c, err := p.connect(ctx, id)
	if err != nil {
		return nil, session.Wrap(ctx, "Connect", id, err)
	}
	return c, nil
}

// connect returns ErrNotReady for an instance that may still become reachable. That includes a
// refused log-in while the instance is young.
func (p *Provider) connect(ctx context.Context, id compute.ID) (*install.Conn, error) {
	m, err := p.instances.find(ctx, id, time.Now().Add(-p.o.Poll))
	if err != nil {
		return nil, err
	}
	notReady := func(err error) error {
		return &compute.Error{Op: "ec2.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
	}
	switch m.State {
	case types.InstanceStateNameRunning:
	case types.InstanceStateNamePending:
		return nil, notReady(errors.New("it is pending"))
	default:
		return nil, &compute.Error{Op: "ec2.Connect", ID: id, Kind: compute.ErrUnavailable, Err: m.Off()}
	}
	address := p.address(m)
	if address == "" {
		return nil, notReady(errors.New("it has no address yet"))
	}
	config, err := p.sshConfig(ctx, m, address)
	if err != nil {
		return nil, err
	}
	s, err := sshconn.Dial(ctx, sshconn.Options{Host: "instance", ConfigFile: config, Timeout: 15 * time.Second})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, err
	case errors.Is(err, compute.ErrUnavailable), errors.Is(err, compute.ErrTimeout):
		return nil, notReady(err)
	case errors.Is(err, compute.ErrDenied) && time.Since(m.Launched).Abs() < young:
		return nil, notReady(err)
	default:
		return nil, err
	}
	return install.Over(s, id, p.o.Installation+"/"+string(id), p.o.Agent), nil
}

// hostDir is the directory of what ssh reads about an instance. All of it can be written again,
// except a key that was read from a console.
func (p *Provider) hostDir(id compute.ID) string {
	return filepath.Join(p.o.Dir, "hosts", "h-"+url.PathEscape(string(id)))
}

func (p *Provider) forgetHost(id compute.ID) { _ = os.RemoveAll(p.hostDir(id)) }

// sshConfig writes how an instance is reached, and returns the path of the file.
func (p *Provider) sshConfig(ctx context.Context, m session.Machine, address string) (string, error) {
	dir := p.hostDir(m.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	trusted, err := p.knownKeys(ctx, m, dir)
	if err != nil {
		return "", err
	}
	known := ""
	for _, k := range trusted {
		known += m.Instance + " " + k + "\n"
	}
	identity := ""
	switch {
	case p.o.IdentityFile != "":
		identity = "  IdentityFile " + quote(p.o.IdentityFile) + "\n  IdentitiesOnly yes\n"
	case p.o.Key == "":
		if _, err := p.keys.WriteOwn(); err != nil {
			return "", err
		}
		identity = "  IdentityFile " + quote(p.keys.File()) + "\n  IdentitiesOnly yes\n  IdentityAgent none\n"
	}
	host := fmt.Sprintf("Host instance\n  HostName %s\n  Port %d\n  User %s\n%s  HostKeyAlias %s\n  UserKnownHostsFile %s\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n",
		address, p.o.Port, m.User, identity, m.Instance, quote(filepath.Join(dir, "known_hosts")))
	if err := keys.Write(filepath.Join(dir, "known_hosts"), known); err != nil {
		return "", err
	}
	config := filepath.Join(dir, "config")
	return config, keys.Write(config, host)
}

func quote(path string) string { return `"` + path + `"` }

// knownKeys returns the keys that an instance's sshd may have: the one that it was given, or those
// that it printed.
func (p *Provider) knownKeys(ctx context.Context, m session.Machine, dir string) ([]string, error) {
	if m.HostKey != "console" {
		k, err := p.keys.Host(m.ID)
		return []string{k.Public}, err
	}
	file := filepath.Join(dir, "printed."+m.Instance)
	if b, err := os.ReadFile(file); err == nil {
		return strings.Split(strings.TrimSpace(string(b)), "\n"), nil
	}
	text, err := p.consoleOf(ctx, m.Instance)
	if err != nil {
		return nil, err
	}
	printed := printedKeys(text)
	if len(printed) == 0 {
		return nil, &compute.Error{
			Op: "ec2.Connect", ID: m.ID, Kind: compute.ErrNotReady,
			Err: errors.New("its console does not say the host's key yet"),
		}
	}
	return printed, keys.Write(file, strings.Join(printed, "\n")+"\n")
}

// printedKeys returns the host keys that cloud-init printed first on a console.
func printedKeys(console string) (keys []string) {
	_, rest, ok := strings.Cut(console, "-----BEGIN SSH HOST KEY KEYS-----")
	body, _, end := strings.Cut(rest, "-----END SSH HOST KEY KEYS-----")
	if !ok || !end {
		return nil
	}
	for line := range strings.Lines(body) {
		for _, kind := range []string{"ssh-ed25519 ", "ecdsa-sha2-", "ssh-rsa "} {
			if i := strings.Index(line, kind); i >= 0 {
				if k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line[i:])); err == nil {
					keys = append(keys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))))
				}
			}
		}
	}
	return keys
}
