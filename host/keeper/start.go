package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// StartOptions say how to start a keeper. The program must call Serve with the same socket.
type StartOptions struct {
	Executable string   // this program, as an absolute path
	Args       []string // without the program's name
	Env        []string // nil: this process's environment
	Socket     string
	// an absolute path that output is appended to; "": output is dropped
	Log string
}

// The starter passes the number of a pipe in the environment. The keeper writes one of these words
// to it, or an error.
const (
	readyEnv = "HOSTLER_KEEPER_READY"
	sayReady = "ready"
	sayTaken = "taken"
)

const (
	// from the start until the keeper listens, on a very busy machine
	startTime = 20 * time.Second
	maxLog    = 1 << 20 // bytes; a longer log is emptied when a keeper starts
	// the keeper may end or be replaced just then; from the second try on it cannot be replaced
	tries = 3
)

// Start starts a keeper and returns when it listens, or when it says that another one does. The
// keeper has its own session, / as its directory, and none of this process's files. It is not
// waited for, so it may become a zombie of a caller that lives longer.
func Start(ctx context.Context, opt StartOptions) error {
	_, err := start(ctx, opt)
	return err
}

// start is Start that returns the keeper's word.
func start(ctx context.Context, opt StartOptions) (string, error) {
	if err := checkDir(opt.Socket, true); err != nil {
		return "", err
	}
	out, err := openLog(opt.Log)
	if err != nil {
		return "", failed(err)
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return "", failed(err)
	}
	defer r.Close()
	cmd := exec.Command(opt.Executable, opt.Args...)
	cmd.Dir = "/"
	cmd.Env = opt.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(slices.Clip(cmd.Env), readyEnv+"=3")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return "", failed(err)
	}
	defer cmd.Process.Release()

	defer context.AfterFunc(ctx, func() { r.SetReadDeadline(time.Unix(1, 0)) })()
	r.SetReadDeadline(time.Now().Add(startTime))
	said, err := io.ReadAll(io.LimitReader(r, 4096))
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	switch word := strings.TrimSpace(string(said)); {
	case err != nil:
		return "", failed(fmt.Errorf("it does not say that it listens: %w", err))
	case word == sayReady, word == sayTaken:
		return word, nil
	case word == "":
		return "", failed(errors.New("it ended before it listened"))
	default:
		return "", failed(errors.New(word))
	}
}

func failed(err error) error {
	return &compute.Error{Op: "keeper.Start", Kind: compute.ErrUnavailable, Err: err, Hint: "the keeper's log may say more"}
}

// openLog opens the keeper's log for appending; a log beyond maxLog is emptied.
func openLog(path string) (*os.File, error) {
	if path == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND | syscall.O_NOFOLLOW
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}

// Ensure is Dial that starts a keeper if none runs, or replaces one of another build. Concurrent
// callers end up with one keeper.
func Ensure(ctx context.Context, opt StartOptions, req Request) (compute.Conn, error) {
	var err error
	for i := range tries {
		var c compute.Conn
		c, err = Dial(ctx, opt.Socket, req)
		if err == nil || !absent(err) {
			return c, err
		}
		err = replace(ctx, opt, req.Build, func() error {
			if i > 0 {
				c, err = Dial(ctx, opt.Socket, req)
				return err
			}
			return nil
		})
		if c != nil || err != nil && !absent(err) {
			return c, err
		}
	}
	return nil, err
}

// Wake is ring that starts a keeper if none runs, or replaces one of another build. A new keeper
// looks for due work by itself.
func Wake(ctx context.Context, opt StartOptions, build string) error {
	err := ring(ctx, opt.Socket, build)
	if err == nil || !absent(err) {
		return err
	}
	return replace(ctx, opt, build, func() error { return ring(ctx, opt.Socket, build) })
}

func absent(err error) bool { return errors.Is(err, ErrNone) || errors.Is(err, ErrOther) }

// replace makes sure that a keeper of this build listens, and then calls then. Until then returns,
// no other build can replace the keeper. Processes do this one at a time.
func replace(ctx context.Context, opt StartOptions, build string, then func() error) error {
	if err := checkDir(opt.Socket, true); err != nil {
		return err
	}
	turn, err := waitLock(ctx, opt.Socket+".start")
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return failed(err)
	}
	defer turn.Close()
	if err := listening(ctx, opt, build); err != nil {
		return err
	}
	return then()
}

// listening returns when a keeper of this build listens.
func listening(ctx context.Context, opt StartOptions, build string) error {
	// a second in all, and only while a keeper comes or goes that was started in another way
	for range 200 {
		err := tell(ctx, opt.Socket, request{Build: build, Verb: verbPing})
		if errors.Is(err, ErrOther) {
			if err := Stop(ctx, opt.Socket); err != nil && !errors.Is(err, ErrNone) {
				return err
			}
		} else if !errors.Is(err, ErrNone) {
			return err
		}
		word, err := start(ctx, opt)
		if err != nil {
			return err
		}
		if word == sayReady {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return failed(errors.New("another one has its place and does not answer"))
}

// readiness is the keeper's end of the starter's pipe.
type readiness struct{ f *os.File }

func (r readiness) say(word string) {
	if r.f != nil {
		io.WriteString(r.f, word)
		r.f.Close()
	}
}

func (r readiness) close() {
	if r.f != nil {
		r.f.Close()
	}
}

// inherited returns the pipe if Start started this process. It then closes inherited files: a lock
// or a pipe of the user's shell would stay in use as long as the keeper lives. Go marks the files
// that it opens close-on-exec, so they are recognized and kept.
func inherited() readiness {
	fd, err := strconv.Atoi(os.Getenv(readyEnv))
	if err != nil || fd < 3 {
		return readiness{}
	}
	os.Unsetenv(readyEnv)
	syscall.CloseOnExec(fd)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		entries, _ = os.ReadDir("/dev/fd")
	}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 2 && n != fd {
			if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
				syscall.Close(n)
			}
		}
	}
	return readiness{os.NewFile(uintptr(fd), "ready")}
}
