package agentcmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/remote/detached"
	"github.com/hostler-project/hostler/remote/process"
)

// A daemon is an agent that has its standard streams from other processes. A process started with
// --daemon=NAME looks for the daemon of that name and starts it where there is none. It hands the
// daemon its two descriptors, and stays as long as the daemon has them. So no process copies what
// goes between, and what a run needs to go on when its connection ends is no child of that. The
// daemon ends when no client is there and nothing is held.

const (
	handTime  = 10 * time.Second // for descriptors to be handed over
	idleEvery = time.Minute      // it looks so often whether what ended is still worth knowing
)

// socketDir is a directory of ours alone, which does not outlive the machine and takes sockets:
// their names have to be short.
func socketDir() (string, error) {
	var errs []error
	for _, top := range []string{"/dev/shm", os.TempDir()} {
		dir := filepath.Join(top, "hostler-agent-"+strconv.Itoa(os.Geteuid()))
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, os.ErrExist) {
			err = nil
		}
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(dir, &st)
		}
		if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0) {
			err = fmt.Errorf("%s is not ours alone", dir)
		}
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// socketOf is where the daemon of a name listens: one of this very program.
func socketOf(name string) (string, error) {
	dir, err := socketDir()
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &st); err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d.%d", name, st.Size, st.Mtim.Sec, st.Mtim.Nsec))
	return filepath.Join(dir, hex.EncodeToString(sum[:8])), nil
}

// handToDaemon hands our standard input and output to the daemon of a name and waits until it
// needs them no more. Its command line is ours, for what is behind serve. done: it had them;
// else nothing was done, and err says why there can be no daemon.
func handToDaemon(name string, args []string) (done bool, err error) {
	socket, err := socketOf(name)
	if err != nil {
		return false, err
	}
	for range 3 { // one may end just as we come
		var c *net.UnixConn
		if c, err = dialOwn(socket); err != nil {
			c, err = startDaemon(socket, args)
		}
		if err != nil {
			return false, err
		}
		if err = sendDescriptors(c); err == nil {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
			return true, nil
		}
		_ = c.Close()
	}
	return false, err
}

// dialOwn connects to a socket that a process of ours listens on.
func dialOwn(socket string) (*net.UnixConn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err == nil {
		err = checkOwner(c)
	}
	if err != nil {
		if c != nil {
			_ = c.Close()
		}
		return nil, err
	}
	return c, nil
}

// checkOwner refuses the processes of others.
func checkOwner(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(
			int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED,
		)
	}); cerr != nil || err != nil {
		return errors.Join(cerr, err)
	}
	if int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("the other side is the user %d", peer.Uid)
	}
	return nil
}

// locked holds the lock of a socket while do runs: daemons are started and ended one at a time.
func locked(socket string, do func() error) error {
	f, err := os.OpenFile(socket+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			if err != nil {
				return os.NewSyscallError("flock", err)
			}
			return do()
		}
	}
}

// startDaemon starts the daemon, unless another has done so by now, and connects to it.
func startDaemon(socket string, args []string) (c *net.UnixConn, err error) {
	err = locked(socket, func() error {
		if c, err = dialOwn(socket); err == nil {
			return nil
		}
		_ = os.Remove(socket)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		defer func() { _ = l.Close() }()
		f, err := l.File()
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		words := []string{"serve"}
		if os.Args[1] == "agent" { // as hostler itself
			words = []string{"agent", "serve"}
		}
		cmd := exec.Command("/proc/self/exe", append(append(words, args...), "lent:3")...)
		// It is no descendant of the command that we are, and is not to be killed with those: they
		// are known by this.
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, process.CommandMark+"=") })
		cmd.ExtraFiles, cmd.SysProcAttr = []*os.File{f}, &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		_ = cmd.Process.Release()
		c, err = dialOwn(socket)
		return err
	})
	return c, err
}

// sendDescriptors gives the descriptors to the daemon, and waits until it has them.
func sendDescriptors(c *net.UnixConn) error {
	_ = c.SetDeadline(time.Now().Add(handTime))
	if _, _, err := c.WriteMsgUnix([]byte{0}, unix.UnixRights(0, 1), nil); err != nil {
		return err
	}
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return err
	}
	for fd := range 2 { // we are not in the way of their end
		_ = unix.Close(fd)
	}
	return c.SetDeadline(time.Time{})
}

// daemonState is the daemon's place: what comes are descriptors of others.
type daemonState struct {
	l      *net.UnixListener
	kept   *detached.Conn
	ending func()

	mu    sync.Mutex
	users int
	over  bool // it ends, and takes nothing more
}

// openDaemon takes the listening socket that was left to us. ending is called when nobody is there
// and nothing is held.
func openDaemon(word string) (*daemonState, error) {
	n, err := strconv.ParseUint(word, 10, 20)
	if err != nil {
		return nil, invalid("no such descriptor: %s", word)
	}
	f := os.NewFile(uintptr(n), "lent")
	l, err := net.FileListener(f)
	_ = f.Close()
	if err != nil {
		return nil, invalid("%s is no listening socket: %w", word, err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		_ = l.Close()
		return nil, invalid("%s is no unix socket", word)
	}
	u.SetUnlinkOnClose(false)
	return &daemonState{l: u}, nil
}

// Accept waits for the next descriptors.
func (p *daemonState) Accept() (io.ReadWriteCloser, error) {
	for {
		c, err := p.l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		s, err := p.take(c)
		if err != nil { // that one's trouble
			_ = c.Close()
			continue
		}
		return s, nil
	}
}

func (p *daemonState) Close() error { return p.l.Close() }

// take receives the two descriptors of a lender, and makes one connection of them.
func (p *daemonState) take(c *net.UnixConn) (io.ReadWriteCloser, error) {
	if err := checkOwner(c); err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(handTime))
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(2*4))
	n, oobn, _, _, err := c.ReadMsgUnix(b[:], oob)
	if err != nil || n != 1 {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		return nil, errors.Join(err, errors.New("no descriptors came"))
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		// so that a close wakes a waiting reader; of a regular file that is nothing
		_ = unix.SetNonblock(fd, true)
		files = append(files, os.NewFile(uintptr(fd), "lent"))
	}
	s := &loan{c: c, p: p}
	if len(files) != 2 {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, fmt.Errorf("%d descriptors came", len(files))
	}
	s.stdio = stdio{files[0], files[1]}
	p.mu.Lock()
	p.users++
	over := p.over
	p.mu.Unlock()
	if over {
		err = net.ErrClosed
	} else {
		_, err = c.Write(b[:])
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Time{})
	go func() { // ends when the lender goes, or when we give them back
		_, _ = io.Copy(io.Discard, c)
		_ = s.Close()
	}()
	return s, nil
}

// loan is one connection on descriptors of another's.
type loan struct {
	stdio
	c    *net.UnixConn
	p    *daemonState
	once sync.Once
}

// Close gives them back.
func (s *loan) Close() error {
	err := os.ErrClosed
	s.once.Do(func() {
		err = errors.Join(s.stdio.Close(), s.c.Close())
		s.p.mu.Lock()
		s.p.users--
		s.p.mu.Unlock()
		s.p.endIfIdle()
	})
	return err
}

// endIfIdle ends the daemon if no client is there and nothing that one could come back for.
func (p *daemonState) endIfIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.users > 0 || p.kept.Keeps() {
		return
	}
	p.over = true
	socket := p.l.Addr().String()
	_ = locked(socket, func() error {
		p.ending()
		return os.Remove(socket)
	})
}

// endWhenIdle looks from time to time, as what was held is forgotten in the end, until ctx ends.
func (p *daemonState) endWhenIdle(ctx context.Context) {
	t := time.NewTicker(idleEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			p.endIfIdle()
		}
	}
}
