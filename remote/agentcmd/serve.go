package agentcmd

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/detached"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace/receive"
)

// serve is the verb: it serves on the stream of bytes that its last word names.
func serve(args []string) error {
	var stay bool
	group, work, others, daemon := "auto", "", "", ""
	if len(args) > 0 && strings.HasPrefix(args[0], "--files=") {
		if err := again(strings.TrimPrefix(args[0], "--files="), args[1:]); err != nil {
			return err
		}
		args = args[1:]
	}
	given := args
	opt := process.Options{}
	for len(args) > 0 && strings.HasPrefix(args[0], "--") {
		name, value, _ := strings.Cut(args[0], "=")
		switch name {
		case "--stay":
			stay = true
		case "--keep-env":
			opt.KeepEnv = true
		case "--owner":
			opt.Owner = true
		case "--dir":
			opt.Dir = value
		case "--work":
			work = value
		case "--work-others":
			others = value
		case "--daemon":
			daemon = value
		case "--cgroup":
			group = value
		case "--oom":
			f, err := openFile(value)
			if err != nil {
				return invalid("--oom: %w", err)
			}
			opt.OOMKills = process.OOMKills(f)
		default:
			return invalid("no such option: %s", args[0])
		}
		args = args[1:]
	}
	if len(args) != 1 {
		return invalid("serve takes one place to serve on")
	}
	// where there can be none, we serve ourselves, and nothing is held
	if daemon != "" && args[0] == "stdio" {
		if done, _ := handToDaemon(daemon, given[:len(given)-1]); done {
			return nil
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	place, err := open(ctx, args[0])
	if err != nil {
		return err
	}
	if err := trackDescendants(&opt, group); err != nil {
		return err
	}
	if opt.Orphans != nil {
		go opt.Orphans.Run(context.Background()) // to our own end
	}
	var conn compute.Conn = receive.New(process.New(opt), receive.Options{Dir: work, Others: others})
	if p, ok := place.(*daemonState); ok {
		ctx, p.ending = context.WithCancel(ctx)
		p.kept = detached.New(conn)
		conn, stay = p.kept, true
		go p.endWhenIdle(ctx)
	} else if stay {
		conn = detached.New(conn)
	}
	err = Serve(ctx, place, conn, stay)
	_ = conn.Close()
	if ctx.Err() != nil {
		return nil // we were told to end
	}
	return err
}

// Place is where connections come from.
type Place interface {
	// Accept waits for the next connection. io.EOF says that there will be no more.
	Accept() (io.ReadWriteCloser, error)
	// Close wakes Accept, where that is possible.
	Close() error
}

type listener struct{ l net.Listener }

func (l listener) Accept() (io.ReadWriteCloser, error) { return l.l.Accept() }
func (l listener) Close() error                        { return l.l.Close() }

// Serve offers conn to all clients that come to a place, until ctx ends. Without stay it serves the
// first client alone, until that one goes. All that the clients started has ended when Serve
// returns. It closes the place, and leaves conn open.
func Serve(ctx context.Context, place Place, conn compute.Conn, stay bool) error {
	var open sync.WaitGroup
	defer open.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = place.Close() })()
	for pause := time.Duration(0); ; {
		c, err := place.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return nil
		case passing(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		case err != nil:
			return &compute.Error{Op: "agent", Kind: compute.ErrFailed, Err: err}
		}
		pause = 0
		if !stay {
			if _, ok := place.(*port); !ok {
				_ = place.Close() // nobody else is let in
			}
			return agent.Serve(ctx, c, conn, agent.Options{})
		}
		if _, ok := place.(*port); ok { // one after the other
			_ = agent.Serve(ctx, c, conn, agent.Options{})
			continue
		}
		open.Go(func() { _ = agent.Serve(ctx, c, conn, agent.Options{}) })
	}
}

// passing reports whether a listener that could not accept may do so later: it was one connection's
// trouble, or there is too little of something.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// open opens the place that a word of the command line names.
func open(ctx context.Context, word string) (Place, error) {
	kind, name, _ := strings.Cut(word, ":")
	switch kind {
	case "stdio":
		return standard()
	case "fd":
		n, err := strconv.ParseUint(name, 10, 20)
		if err != nil {
			return nil, invalid("no such descriptor: %s", word)
		}
		f := os.NewFile(uintptr(n), word)
		l, err := net.FileListener(f)
		_ = f.Close()
		if err != nil {
			return nil, invalid("%s is no listening socket: %w", word, err)
		}
		return listener{l}, nil
	case "lent":
		return openDaemon(name)
	case "unix":
		return listenUnix(ctx, name)
	case "port":
		return openPort(name)
	case "vsock":
		n, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return nil, invalid("no such port: %s", word)
		}
		return listenVsock(uint32(n))
	}
	return nil, invalid("no place to serve on: %s", word)
}

// openFile opens a file or directory by its name, or by its number: fd:N.
func openFile(word string) (*os.File, error) {
	if n, ok := strings.CutPrefix(word, "fd:"); ok {
		fd, err := strconv.ParseUint(n, 10, 20)
		if err != nil {
			return nil, err
		}
		syscall.CloseOnExec(int(fd))
		return os.NewFile(uintptr(fd), word), nil
	}
	return os.Open(word)
}

// listenUnix makes a socket that only we may connect to, in place of one that nobody listens on any
// more.
func listenUnix(ctx context.Context, name string) (Place, error) {
	if c, err := net.Dial("unix", name); err == nil {
		_ = c.Close()
		return nil, &compute.Error{Op: "agent", Kind: compute.ErrConflict, Err: errors.New(name + " is in use")}
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		if fi, err := os.Lstat(name); err == nil && fi.Mode()&os.ModeSocket != 0 {
			_ = os.Remove(name)
		}
	}
	old := syscall.Umask(0o177) // nothing else is done by this program yet
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", name)
	syscall.Umask(old)
	if err != nil {
		return nil, &compute.Error{Op: "agent", Kind: compute.ErrFailed, Err: err}
	}
	return listener{l}, nil
}

// standard is our own standard input and output, as the one connection that comes. They move to
// other numbers, so that no library writes between our frames, and so that a reader that goes away
// is an error and not a signal.
func standard() (Place, error) {
	in, err := syscall.Dup(0)
	if err != nil {
		return nil, &compute.Error{Op: "agent", Kind: compute.ErrFailed, Err: err}
	}
	out, err := syscall.Dup(1)
	if err != nil {
		return nil, &compute.Error{Op: "agent", Kind: compute.ErrFailed, Err: err}
	}
	syscall.CloseOnExec(in)
	syscall.CloseOnExec(out)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(dup2(int(null.Fd()), 0), dup2(int(null.Fd()), 1))
		_ = null.Close()
	}
	if err != nil {
		return nil, &compute.Error{Op: "agent", Kind: compute.ErrFailed, Err: err}
	}
	p := make(once, 1)
	p <- stdio{os.NewFile(uintptr(in), "stdin"), os.NewFile(uintptr(out), "stdout")}
	return p, nil
}

// once is a place to which one connection comes.
type once chan stdio

func (o once) Accept() (io.ReadWriteCloser, error) {
	select {
	case c := <-o:
		return c, nil
	default:
		return nil, io.EOF
	}
}

func (o once) Close() error { return nil }

type stdio struct{ in, out *os.File }

func (s stdio) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s stdio) Write(b []byte) (int, error) { return s.out.Write(b) }
func (s stdio) Close() error                { return errors.Join(s.out.Close(), s.in.Close()) }
