package ironic_test

import (
	"io"
	"net"
	"os/exec"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// host is what a node would be after it has booted: an sshd with the host key of its config drive,
// which lets in the keys that stand there.
type host struct {
	addr   string
	logins atomic.Int64
}

// newHost boots one, with what a config drive says.
func newHost(t testing.TB, drive configDrive) *host {
	t.Helper()
	private := regexp.MustCompile(
		`(?s)-----BEGIN OPENSSH PRIVATE KEY-----.*?-----END OPENSSH PRIVATE KEY-----\n?`,
	).FindString(drive.UserData)
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		t.Fatalf("the config drive has no host key: %v", err)
	}
	let := map[string]bool{}
	for _, k := range drive.Meta.Keys {
		public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k))
		do(t, err)
		let[string(public.Marshal())] = true
	}
	h := &host{}
	conf := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !let[string(key.Marshal())] {
			return nil, ssh.ErrNoAuth
		}
		return &ssh.Permissions{}, nil
	}}
	conf.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	do(t, err)
	h.addr = l.Addr().String()
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				h.serve(c, conf, &wg)
			})
		}
	})
	return h
}

func (h *host) serve(c net.Conn, conf *ssh.ServerConfig, wg *sync.WaitGroup) {
	conn, channels, requests, err := ssh.NewServerConn(c, conf)
	if err != nil {
		return
	}
	defer conn.Close()
	h.logins.Add(1)
	wg.Go(func() { ssh.DiscardRequests(requests) })
	for one := range channels {
		if one.ChannelType() != "session" {
			_ = one.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		ch, reqs, err := one.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer ch.Close()
			for r := range reqs {
				var words struct{ Command string }
				run := r.Type == "exec" && ssh.Unmarshal(r.Payload, &words) == nil
				_ = r.Reply(run || r.Type == "env", nil)
				if !run {
					continue
				}
				cmd := exec.Command("sh", "-c", words.Command)
				cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
				// not Stdin, whose end would be waited for
				if in, err := cmd.StdinPipe(); err == nil {
					wg.Go(func() { _, _ = io.Copy(in, ch); in.Close() })
				}
				status := uint32(127)
				if _ = cmd.Run(); cmd.ProcessState != nil {
					status = uint32(max(0, cmd.ProcessState.ExitCode()))
				}
				_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
				return
			}
		})
	}
}
