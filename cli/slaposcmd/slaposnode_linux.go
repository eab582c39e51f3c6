package slaposcmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	slapnode "github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// isNode returns an error if this machine cannot be a node.
func (n *NodeCommand) isNode() error { return nil }

// alone writes this process to a file, and end removes it. If another living process of this kind
// has the file, the command ends with exit status 10.
func (n *NodeCommand) alone(path string) (end func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fault.Invalid("pidfile in [slapos], or --pidfile, names another place", "%w", err)
	}
	for range 10 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fault.Invalid("pidfile in [slapos], or --pidfile, names another place", "%w", err)
		}
		busy := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
		text, _ := io.ReadAll(io.LimitReader(f, 100))
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if busy || pid != os.Getpid() && isSlapos(pid) {
			_ = f.Close()
			n.Warn("A process of this kind runs already: %s of process %d", path, pid)
			return nil, term.Exit(SlaposBusy)
		}
		mine, _ := f.Stat()
		there, err := os.Stat(path)
		if err != nil || !os.SameFile(mine, there) { // its holder has just removed it
			_ = f.Close()
			continue
		}
		if _, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0); err == nil {
			err = f.Truncate(int64(len(strconv.Itoa(os.Getpid()))))
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		return func() { _, _ = os.Remove(path), f.Close() }, nil
	}
	return nil, &compute.Error{Kind: compute.ErrUnavailable, Err: fmt.Errorf("%s is made and taken away all the time", path)}
}

// isSlapos reports whether a process is SlapOS's own, by its command line. Processes of hostler do
// not count: they lock their file, so an unlocked file may have a number from before a reboot.
func isSlapos(pid int) bool {
	if pid <= 0 {
		return false
	}
	at := "/proc/" + strconv.Itoa(pid)
	line, err := os.ReadFile(at + "/cmdline")
	if err != nil || !bytes.Contains(line, []byte("slapos")) {
		return false
	}
	if is, err := os.Readlink(at + "/exe"); err == nil {
		self, err := os.Executable()
		return !(strings.HasPrefix(filepath.Base(is), "hostler") || err == nil && is == self)
	}
	return true
}

// Files of the supervisor, below the instances' directory.
const (
	supervisorState = "var/hostler/supervisor"
	SupervisorLog   = "var/log/supervisord.log"
	supervisorPID   = "var/run/supervisord.pid"
)

const (
	supervisorPatience = 20 * time.Second // until it listens on a busy machine
	supervisorMaxLog   = 50 << 20
)

// startSupervisor starts a supervisor that outlives this process. It returns when one listens, even
// if another process started it.
func (n *NodeCommand) startSupervisor(ctx context.Context) error {
	fail := func(err error) error {
		return &compute.Error{
			Op: "supervisor", Kind: compute.ErrUnavailable, Err: err,
			Hint: "its log is " + filepath.Join(n.Node.InstanceRoot, SupervisorLog),
		}
	}
	if _, err := os.Stat(n.Node.InstanceRoot); err != nil {
		return fault.Invalid("hostler slapos node format makes it", "instance_root: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	log, err := n.openSupervisorLog()
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	cmd := exec.Command(self, append([]string{"slapos", "node", "supervisord", "--nodaemon", "--cfg", n.Path}, n.options...)...)
	cmd.Args[0] = "hostler" // whatever the file's name
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	// a node's programs get nothing from the environment that started the supervisor
	cmd.Env = []string{}
	for _, name := range []string{"HOME", "PATH", "HOSTLER_FAILPOINT"} {
		if text, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+text)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the supervisor or this process
	c := supervise.NewClient(n.Socket)
	defer c.Close()
	patience := time.After(supervisorPatience)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if _, err := c.Groups(ctx); err == nil {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case err := <-ended:
			if _, again := c.Groups(ctx); again == nil {
				return nil
			}
			if err == nil {
				err = errors.New("it ended")
			}
			return fail(fmt.Errorf("it does not stay: %w", err))
		case <-patience:
			return fail(fmt.Errorf("it does not listen at %s after %s", n.Socket, supervisorPatience))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// openSupervisorLog opens the log of a supervisor that is about to start.
func (n *NodeCommand) openSupervisorLog() (*os.File, error) {
	path := filepath.Join(n.Node.InstanceRoot, SupervisorLog)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(path); err == nil && info.Size() > supervisorMaxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o644)
}

// supervise is the supervisor. When it ends, its programs go on.
func (n *NodeCommand) supervise(ctx context.Context) error {
	root := n.Node.InstanceRoot
	if _, err := os.Stat(root); err != nil {
		return fault.Invalid("", "instance_root: %w", err)
	}
	out := n.A.Err
	if out == os.Stderr { // a pass started it, and this is its log
		out = supervise.Turning(os.Stderr, filepath.Join(root, SupervisorLog), supervisorMaxLog)
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	opt := supervise.Options{Dir: filepath.Join(root, supervisorState), Log: log}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer wg.Wait()
	defer cancel()
	if n.Node.Master != "" && n.Node.Computer != "" {
		dog := &slapnode.Watchdog{Computer: n.Node.Computer, InstanceRoot: root, Ask: n.bangs, Log: log}
		opt.Event = dog.Event
		wg.Go(func() { dog.Run(ctx) })
	} else {
		log.Warn("no master is named, so none hears of programs that do not stay")
	}
	s, err := supervise.New(opt)
	if err != nil {
		return err
	}
	defer s.Close()
	pid := filepath.Join(root, supervisorPID)
	if err := os.MkdirAll(filepath.Dir(pid), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return err
	}
	defer func() {
		if err := os.Remove(pid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("its pid file stays", "err", err)
		}
	}()
	log.Info("the supervisor listens", "socket", n.Socket, "pid", os.Getpid())
	wg.Go(func() {
		if unreachable(ctx, n.Socket) {
			log.Error(
				"the supervisor's socket is gone, so nobody can ask it anything: it ends, and the next one takes its programs over",
				"socket", n.Socket,
			)
			cancel()
		}
	})
	return s.Serve(ctx, n.Socket)
}

// unreachable returns true when a socket that existed is gone, and false when ctx ends.
func unreachable(ctx context.Context, socket string) bool {
	// look often until it exists, as it may be removed at once
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for there := false; ; {
		_, err := os.Lstat(socket)
		if there && errors.Is(err, fs.ErrNotExist) {
			return ctx.Err() == nil // the ending supervisor removes it
		}
		if err == nil && !there {
			there = true
			tick.Reset(time.Second)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// bangs returns a client with which a partition's instance reports an error to the master.
func (n *NodeCommand) bangs(id string) (slapnode.Banger, func(), error) {
	c, err := n.asking(id)
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}
