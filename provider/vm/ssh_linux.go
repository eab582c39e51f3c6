package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm/qmp"
	"github.com/hostler-project/hostler/provider/vm/seed"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// sshSeed makes an instance's keys, one to log in with and the host's own, and writes the files
// that are needed on this side.
func (p *launcher) sshSeed(s *seed.Seed, own *instanceRecord, home string) error {
	login, err := seed.NewKey("hostler")
	if err != nil {
		return err
	}
	if s.HostKey, err = seed.NewKey("root@" + s.Hostname); err != nil {
		return err
	}
	s.Keys = []string{string(login.Public)}
	where := fmt.Sprintf("[127.0.0.1]:%d", own.SSH)
	kind, rest, _ := strings.Cut(string(s.HostKey.Public), " ")
	key, _, _ := strings.Cut(rest, " ")
	for name, text := range map[string]string{
		"key": string(login.Private), "known_hosts": where + " " + kind + " " + key + "\n",
		"ssh_config": fmt.Sprintf(`Host vm
  HostName 127.0.0.1
  Port %d
  User %s
  IdentityFile "%s"
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile "%s"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
`, own.SSH, s.User, filepath.Join(home, "key"), filepath.Join(home, "known_hosts")),
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// connectSSH logs in to a machine.
func (p *entrance) connectSSH(ctx context.Context, own instanceRecord) (compute.Conn, error) {
	id := compute.ID(own.ID)
	notReady := func(err error) error {
		if ctx.Err() != nil {
			return fault("Connect", id, ctx.Err())
		}
		if err := p.p.trouble(ctx, "Connect", id); err != nil {
			return err
		}
		return &compute.Error{Op: "vm.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
	}
	if err := banner(ctx, own.SSH); err != nil {
		return nil, notReady(err)
	}
	c, err := sshconn.Dial(ctx, sshconn.Options{Host: "vm", ConfigFile: filepath.Join(p.p.home(id), "ssh_config"), Timeout: 20 * time.Second})
	if err == nil {
		return c, nil
	}
	// While it boots a host key or a user may not be there yet.
	if own.Stage == booting || errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrTimeout) {
		return nil, notReady(err)
	}
	return nil, fault("Connect", id, err)
}

// banner waits a moment for sshd's first word: qemu accepts connections long before sshd listens
// inside.
func banner(ctx context.Context, port int) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetReadDeadline(qmp.Deadline(ctx, 1500*time.Millisecond))
	var b [4]byte
	if _, err := c.Read(b[:]); err != nil {
		return fmt.Errorf("sshd does not answer: %w", err)
	}
	if string(b[:]) != "SSH-" {
		return errors.New("what answers is no sshd")
	}
	return nil
}
