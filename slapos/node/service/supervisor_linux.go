package service

import (
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
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	slaposnode "github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

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

// StartSupervisor starts a supervisor that outlives this process. It returns when one listens, even
// if another process started it.
func (n *Node) StartSupervisor(ctx context.Context) error {
	fail := func(err error) error {
		return &compute.Error{
			Op: "supervisor", Kind: compute.ErrUnavailable, Err: err,
			Hint: "its log is " + filepath.Join(n.Settings.InstanceRoot, SupervisorLog),
		}
	}
	if _, err := os.Stat(n.Settings.InstanceRoot); err != nil {
		return fault.Invalid("hostler slapos node format makes it", "instance_root: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	log, err := openSupervisorLog(n.Settings.InstanceRoot)
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	cmd := exec.Command(self, append([]string{"slapos", "node", "supervisord", "--nodaemon", "--cfg", n.Path}, n.Options...)...)
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
	c := supervise.NewClient(n.socket())
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
			return fail(fmt.Errorf("it does not listen at %s after %s", n.socket(), supervisorPatience))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// openSupervisorLog opens the log of a supervisor that is about to start.
func openSupervisorLog(root string) (*os.File, error) {
	path := filepath.Join(root, SupervisorLog)
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

// RunSupervisor is the supervisor, which logs to out. When it ends, its programs go on.
func (n *Node) RunSupervisor(ctx context.Context, out io.Writer) error {
	root := n.Settings.InstanceRoot
	if _, err := os.Stat(root); err != nil {
		return fault.Invalid("", "instance_root: %w", err)
	}
	if out == os.Stderr { // a pass started it, and this is its log
		out = supervise.RotatingLog(os.Stderr, filepath.Join(root, SupervisorLog), supervisorMaxLog)
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	opt := supervise.Options{Dir: filepath.Join(root, supervisorState), Log: log}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer wg.Wait()
	defer cancel()
	if n.Settings.Master != "" && n.Settings.Computer != "" {
		ask := func(id string) (slaposnode.Banger, func(), error) { return n.clientOf(id) }
		dog := &slaposnode.Watchdog{Computer: n.Settings.Computer, InstanceRoot: root, Ask: ask, Log: log}
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
	log.Info("the supervisor listens", "socket", n.socket(), "pid", os.Getpid())
	wg.Go(func() {
		if unreachable(ctx, n.socket()) {
			log.Error(
				"the supervisor's socket is gone, so nobody can ask it anything: it ends, and the next one takes its programs over",
				"socket", n.socket(),
			)
			cancel()
		}
	})
	return s.Serve(ctx, n.socket())
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
