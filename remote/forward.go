package remote

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider"
)

// ForwardSpec says what is forwarded: connections to one end point go to another, on the other
// side.
type ForwardSpec struct {
	// listen on the computer and connect from here, as ssh -R; else listen here, as ssh -L
	Reverse       bool
	ListenNetwork string
	Listen        string // HOST:PORT or a path
	DialNetwork   string
	Dial          string

	// called once it listens; may be nil. The way to learn a port that was given as 0
	Listening func(net.Addr)
	// called for each connection that came and could not be made on the other side, at once from
	// many goroutines; may be nil
	Failed func(error)
}

// ParseForward reads what ssh's -L and -R take: [BIND:]PORT:HOST:PORT, where either end may be the
// path of a socket instead. PORT alone is the same port on both sides, PORT:PORT is localhost on
// the other. An IPv6 address stands in brackets.
func ParseForward(s string, reverse bool) (ForwardSpec, error) {
	bad := func(why string) (ForwardSpec, error) {
		return ForwardSpec{}, &compute.Error{
			Op: "forward", Kind: compute.ErrInvalid, Err: errors.New(strconv.Quote(s) + ": " + why),
			Hint: "write [BIND:]PORT:HOST:PORT; a path in place of BIND:PORT or HOST:PORT is a socket",
		}
	}
	f := ForwardSpec{Reverse: reverse}
	words, ok := splitColons(s)
	if !ok {
		return bad("a bracket is not closed")
	}
	n := len(words)
	last := words[n-1]
	switch {
	case strings.Contains(last, "/"):
		f.DialNetwork, f.Dial, words = "unix", last, words[:n-1]
	case n == 1:
		f.DialNetwork, f.Dial = "tcp", net.JoinHostPort("localhost", last)
	case n == 2 && !strings.Contains(words[0], "/"):
		f.DialNetwork, f.Dial, words = "tcp", net.JoinHostPort("localhost", last), words[:1]
	case n >= 3 && words[n-2] != "":
		f.DialNetwork, f.Dial, words = "tcp", net.JoinHostPort(words[n-2], last), words[:n-2]
	default:
		return bad("there is no HOST:PORT to connect to")
	}
	if p, err := strconv.ParseUint(last, 10, 16); f.DialNetwork == "tcp" && (err != nil || p == 0) {
		return bad("no such port: " + last)
	}
	switch {
	case len(words) == 1 && strings.Contains(words[0], "/"):
		f.ListenNetwork, f.Listen = "unix", words[0]
		return f, nil
	case len(words) == 1:
		words = []string{"127.0.0.1", words[0]}
	case len(words) != 2 || slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "/") }):
		return bad("it does not say where to listen")
	case words[0] == "*":
		words[0] = ""
	}
	if _, err := strconv.ParseUint(words[1], 10, 16); err != nil {
		return bad("no such port: " + words[1])
	}
	f.ListenNetwork, f.Listen = "tcp", net.JoinHostPort(words[0], words[1])
	return f, nil
}

// splitColons splits at colons that are not within brackets, and takes the brackets off.
func splitColons(s string) ([]string, bool) {
	var out []string
	for {
		if strings.HasPrefix(s, "[") {
			word, rest, ok := strings.Cut(s[1:], "]")
			if !ok || rest != "" && rest[0] != ':' {
				return nil, false
			}
			out = append(out, word)
			if rest == "" {
				return out, true
			}
			s = rest[1:]
			continue
		}
		word, rest, more := strings.Cut(s, ":")
		out = append(out, word)
		if !more {
			return out, true
		}
		s = rest
	}
}

// Forward listens and forwards until ctx ends, whose error it returns then, or until the connection
// is lost or the listener fails. A connection that cannot be made on the other side is logged, told
// to spec.Failed, and closed. All that it opened is closed when it returns.
func Forward(ctx context.Context, conn compute.Conn, spec ForwardSpec, log *slog.Logger) error {
	far, ok := provider.As[provider.Dialer](conn)
	farListen, okListen := provider.As[provider.Listener](conn)
	if spec.Reverse && !okListen || !spec.Reverse && !ok {
		return &compute.Error{Op: "forward", Kind: compute.ErrInvalid, Err: errors.New("this kind of computer cannot forward that way")}
	}
	var d net.Dialer
	var lc net.ListenConfig
	listen, dial := lc.Listen, d.DialContext
	if spec.Reverse {
		listen = farListen.Listen
	} else {
		dial = far.Dial
	}
	ln, err := listen(ctx, spec.ListenNetwork, spec.Listen)
	if err != nil {
		if errors.As(err, new(*compute.Error)) {
			return err // the far side's, with its kind
		}
		return listenError(spec.Listen, err)
	}
	if spec.ListenNetwork == "unix" && !spec.Reverse {
		if err := os.Chmod(spec.Listen, 0o600); err != nil {
			_ = ln.Close()
			return &compute.Error{Op: "forward", Kind: compute.ErrFailed, Err: err}
		}
	}
	if spec.Listening != nil {
		spec.Listening(ln.Addr())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel(nil)
	for pause := time.Duration(0); ; {
		near, err := ln.Accept()
		if err != nil && temporary(err) && ctx.Err() == nil {
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			log.Warn("forward: cannot accept just now", "err", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			_ = ln.Close()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &compute.Error{Op: "forward", Kind: compute.ErrFailed, Err: err}
		}
		pause = 0
		open.Go(func() {
			defer func() { _ = near.Close() }()
			other, err := dial(ctx, spec.DialNetwork, spec.Dial)
			if err != nil {
				if ctx.Err() == nil {
					log.Warn("forward: cannot connect", "to", spec.Dial, "err", err)
					if spec.Failed != nil {
						spec.Failed(err)
					}
				}
				if errors.Is(err, compute.ErrLost) {
					cancel(err)
				}
				return
			}
			defer func() { _ = other.Close() }()
			join(ctx, near, other)
		})
	}
}

// temporary reports whether a listener that could not accept may do so later: it was one
// connection's trouble, or there is too little of something.
func temporary(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR,
		syscall.EAGAIN,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// join copies both ways until both have ended, or ctx.
func join(ctx context.Context, a, b net.Conn) {
	stop := context.AfterFunc(ctx, func() {
		_ = a.Close()
		_ = b.Close()
	})
	defer stop()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, err := io.Copy(way[1], way[0])
			w, ok := way[1].(interface{ CloseWrite() error })
			if err != nil || !ok {
				// A reset, or no way to say that this direction has ended: end both.
				_ = a.Close()
				_ = b.Close()
				return
			}
			_ = w.CloseWrite()
		})
	}
	both.Wait()
}

// listenError says in plain words why nothing can listen at an address.
func listenError(at string, err error) error {
	e := &compute.Error{Op: "forward", Kind: compute.ErrFailed}
	if errors.Is(err, syscall.EADDRINUSE) {
		e.Kind, e.Hint = compute.ErrConflict, "end what listens there, or give another address"
		e.Err = fault.Reworded(at+": the address is in use", err)
		return e
	}
	why := err
	if code := syscall.Errno(0); errors.As(err, &code) {
		why = code
	}
	e.Err = fault.Reworded(at+": "+why.Error(), err)
	return e
}
