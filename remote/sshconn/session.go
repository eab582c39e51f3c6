package sshconn

import (
	"context"
	"errors"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// sshSession is one session channel of a link.
type sshSession struct {
	ssh.Channel
	link  *sshLink
	ended func(*sshLink) // gives the place back

	exited chan struct{} // closed when the exit status has come
	closed chan struct{} // closed when the channel has ended
	exit   compute.Exit  // valid once exited is closed
}

// open opens a session channel; its place must have been reserved.
func (l *sshLink) open(ctx context.Context) (*sshSession, error) {
	return await(ctx, l.gone, func() (*sshSession, error) {
		ch, reqs, err := l.client.OpenChannel("session", nil)
		if err != nil {
			return nil, err
		}
		s := &sshSession{Channel: ch, link: l, exited: make(chan struct{}), closed: make(chan struct{})}
		go s.listen(reqs)
		return s, nil
	}, func(s *sshSession) { s.Close() })
}

// listen takes what the server says about the session until its end.
func (s *sshSession) listen(reqs <-chan *ssh.Request) {
	defer close(s.closed)
	known := false
	for r := range reqs {
		var status struct{ Status uint32 }
		switch {
		case known:
		case r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &status) == nil:
			s.exit, known = compute.Exit{Code: int(status.Status & 0xff)}, true
			close(s.exited)
		case r.Type == "exit-signal":
			name, ok := firstString(r.Payload)
			if !ok {
				break
			}
			s.exit, known = compute.Exit{Signal: signalName(name)}, true
			close(s.exited)
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
}

func firstString(b []byte) (string, bool) {
	var v struct {
		S    string
		Rest []byte `ssh:"rest"`
	}
	err := ssh.Unmarshal(b, &v)
	return v.S, err == nil
}

// signalName is what the server calls a signal. OpenSSH has no name for those that the protocol
// does not list.
func signalName(s string) string {
	if compute.SignalNumber(s) == 0 {
		return "KILL"
	}
	return s
}

// request sends a channel request and waits for its answer.
func (s *sshSession) request(ctx context.Context, name string, payload any) error {
	ok, err := await(ctx, s.link.gone, func() (bool, error) { return s.SendRequest(name, true, ssh.Marshal(payload)) }, nil)
	if err == nil && !ok {
		err = errors.New("the host refuses " + name)
	}
	return err
}

// tell sends a channel request that has no answer. It does not block for long: a link that takes
// nothing is ended by its watch.
func (s *sshSession) tell(name string, payload any) {
	_, _ = s.SendRequest(name, false, ssh.Marshal(payload))
}

// leave closes the channel and gives its place back, when the server has done so too.
func (s *sshSession) leave() {
	_ = s.Close()
	if s.ended == nil {
		return
	}
	if isClosed(s.closed) {
		s.ended(s.link)
		return
	}
	go func() {
		<-s.closed // the end of the link closes it as well
		s.ended(s.link)
	}()
}
