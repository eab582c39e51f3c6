package sshserve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// session is one command, shell or subsystem, and what was asked for it before it began.
type session struct {
	*server
	ch      ssh.Channel
	env     map[string]string
	tty     *compute.Size
	term    string
	resize  chan compute.Size
	signals chan string
	end     context.CancelFunc // of what runs; nil: nothing does yet
}

// most is how many variables, of so many bytes, a client may send.
const (
	mostEnv     = 256
	mostEnvSize = 64 << 10
)

// session serves one session channel until the client closes it.
func (s *server) session(n ssh.NewChannel) {
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	v := &session{server: s, ch: ch, env: maps.Clone(s.opt.Env), resize: make(chan compute.Size, 8), signals: make(chan string, 8)}
	if v.env == nil {
		v.env = map[string]string{}
	}
	for r := range requests {
		ok := v.request(r)
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
	}
	if v.end != nil {
		v.end() // the client has gone
	} else {
		_ = ch.Close()
	}
}

// request does one, and reports whether it was a good one.
func (v *session) request(r *ssh.Request) bool {
	switch r.Type {
	case "env":
		var in struct{ Name, Value string }
		if ssh.Unmarshal(r.Payload, &in) != nil || len(v.env) >= mostEnv || len(in.Value) > mostEnvSize || in.Name == "" {
			return false
		}
		v.env[in.Name] = in.Value
		return true
	case "pty-req":
		var in struct {
			Term                      string
			Cols, Rows, Width, Height uint32
			Modes                     string
		}
		if ssh.Unmarshal(r.Payload, &in) != nil || v.end != nil {
			return false
		}
		size := sized(in.Rows, in.Cols)
		v.tty, v.term = &size, in.Term
		return true
	case "window-change":
		var in struct{ Cols, Rows, Width, Height uint32 }
		if ssh.Unmarshal(r.Payload, &in) != nil {
			return false
		}
		select {
		case v.resize <- sized(in.Rows, in.Cols):
		default: // nobody looks at so many
		}
		return true
	case "signal":
		var in struct{ Name string }
		if ssh.Unmarshal(r.Payload, &in) != nil {
			return false
		}
		select {
		case v.signals <- in.Name:
		default:
		}
		return true
	case "shell":
		return v.start(nil)
	case "exec":
		var in struct{ Command string }
		if ssh.Unmarshal(r.Payload, &in) != nil {
			return false
		}
		return v.start([]string{"sh", "-c", asSSHD, "sh", in.Command})
	case "subsystem":
		var in struct{ Name string }
		if ssh.Unmarshal(r.Payload, &in) != nil || in.Name != "sftp" || v.end != nil {
			return false
		}
		ctx, cancel := context.WithCancel(v.ctx)
		v.end = cancel
		v.all.Go(func() {
			defer cancel()
			v.done(v.sftp(ctx))
		})
		return true
	}
	return false
}

// asSSHD runs a line as sshd does: by the user's own shell, in the user's home.
const asSSHD = `cd "${HOME:-/}" 2>/dev/null || cd /
exec "${SHELL:-/bin/sh}" -c "$1"`

func sized(rows, cols uint32) compute.Size {
	return compute.Size{Rows: int(min(rows, 10000)), Cols: int(min(cols, 10000))}
}

// user is the user that commands run as; "": the connection's own.
func (s *server) user() string {
	if u := s.conn.User(); u != s.opt.User {
		return u
	}
	return ""
}

// start runs a command; none: the login shell. There is one to a session.
func (v *session) start(args []string) bool {
	if v.end != nil {
		return false
	}
	ctx, cancel := context.WithCancel(v.ctx)
	v.end = cancel
	// What sshd's commands leave running stays, and editors rest on that: their servers are started
	// so.
	cmd := &compute.Command{Args: args, Env: v.env, User: v.user(), Stdin: v.ch, Stdout: v.ch, Stderr: v.ch.Stderr(),
		TTY: v.tty, Term: v.term,
		Resize: v.resize, Signals: v.signals, Stay: true}
	v.all.Go(func() {
		defer cancel()
		exit, err := v.opt.Conn.Run(ctx, cmd)
		v.done(exit, err)
	})
	return true
}

// done tells the client how it ended, and ends the session. What could not be run is said on
// standard error, with the statuses of a shell.
func (v *session) done(exit compute.Exit, err error) {
	if err != nil {
		exit = compute.Exit{Code: 255}
		switch {
		case errors.Is(err, compute.ErrNoCommand):
			exit.Code = 127
		case errors.Is(err, compute.ErrNotExecutable):
			exit.Code = 126
		}
		if v.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			_, _ = fmt.Fprintf(v.ch.Stderr(), "hostler: %s\r\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if exit.Reason != "" {
		_, _ = fmt.Fprintf(v.ch.Stderr(), "hostler: the command was killed: %s\r\n", exit.Reason)
	}
	_ = v.ch.CloseWrite()
	if exit.Signal != "" {
		_, _ = v.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name    string
			Core    bool
			Message string
			Lang    string
		}{exit.Signal, false, exit.Reason, ""}))
	} else {
		_, _ = v.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(exit.Code)}))
	}
	_ = v.ch.Close()
}

// findSFTP looks for the program that serves SFTP, where the distributions have it, and becomes it;
// 127: there is none.
const findSFTP = `cd "${HOME:-/}" 2>/dev/null || cd /
for p in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec /usr/lib/misc; do
	if [ -x "$p/sftp-server" ]; then if [ "$1" = look ]; then exit 0; fi; exec "$p/sftp-server"; fi
done
exit 127`

// sftp serves files: by the program that is there for it, or else by ourselves.
func (v *session) sftp(ctx context.Context) (compute.Exit, error) {
	look := &compute.Command{Args: []string{"sh", "-c", findSFTP, "sh", "look"}, User: v.user()}
	exit, err := v.opt.Conn.Run(ctx, look)
	if err != nil || exit.Status() != 0 && exit.Status() != 127 {
		return exit, err
	}
	if exit.Status() == 0 {
		return v.opt.Conn.Run(
			ctx,
			&compute.Command{
				Args: []string{"sh", "-c", findSFTP, "sh"}, Env: v.env, User: v.user(), Stdin: v.ch, Stdout: v.ch,
				Stderr: io.Discard,
			},
		)
	}
	return compute.Exit{}, serveFiles(ctx, v.ch, v.opt.Conn, v.user(), v.env)
}
