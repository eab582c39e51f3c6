package enter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/held"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/workspace/far"
)

// Main is the agent's verb "sandbox": it becomes the first process of a sandbox, and serves until it is killed. It returns the exit status.
func Main(words []string) int {
	plan, fds, err := first(slices.Contains(words, Ahead) && ahead())
	if err != nil {
		return complain(err)
	}
	// What we were born with is not for the commands.
	if plan.has("descriptors") {
		if err := unix.CloseRange(ControlFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
			return complain(err)
		}
		_ = unix.Close(ProgramFD)
	}
	bear()
	l, err := net.FileListener(os.NewFile(uintptr(fds[0]), "agent"))
	if err != nil {
		return complain(err)
	}
	os.Clearenv()
	env := map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh", "LANG": "C.UTF-8",
	}
	maps.Copy(env, plan.Env)
	for k, v := range env {
		if err := os.Setenv(k, v); err != nil {
			return complain(err)
		}
	}
	opt := process.Options{KeepEnv: true, Dir: plan.Dir, Orphans: process.NewOrphans(), NoWatch: true, Own: true}
	if plan.Group > 0 && plan.clone3 { // to be born in a group takes clone3
		opt.Cgroup = os.NewFile(uintptr(fds[plan.Group-1]), "cgroup")
	} else {
		opt.Reaper = append([]string{"/proc/self/exe"}, before(os.Args)...)
		opt.Reaper, opt.Alone = append(opt.Reaper, "reap"), true // all that is here but us comes of commands
	}
	conn := process.New(opt)
	kept := held.New(far.New(conn, far.Options{}))
	go opt.Orphans.Run(context.Background()) // to our end
	var used atomic.Bool
	go func() {
		conn.Prepare()
		time.Sleep(rehearsal)
		spare(threads)
		if !used.Load() {
			rehearse(conn, "/bin/true")
		}
	}()
	if plan.Record > 0 {
		go forgotten(fds[plan.Record-1], func() { _ = l.Close() }) // to our end
	}
	for {
		c, err := l.Accept()
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ECONNABORTED) {
			continue
		}
		if err != nil {
			return complain(err)
		}
		if !used.Swap(true) {
			time.AfterFunc(settled, func() { runtime.GOMAXPROCS(min(runtime.NumCPU(), 4)) })
		}
		go func() { _ = agent.Serve(context.Background(), c, kept, agent.Options{}) }() // ends with its connection, or with the sandbox
	}
}

// bear takes the signals that would end us, and does nothing about them: who is root inside may send them, as to a first process of any system, which
// has no handlers and so does not hear them. Go's runtime has some.
func bear() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV,
		unix.SIGSYS, unix.SIGTERM, unix.SIGSTKFLT)
}

// Ahead is the word for a first process that is started before it is wanted.
const Ahead = "ahead"

// ahead does what a program does at its first time, so that whoever comes does not wait for it, and prepares, which it reports. We are no sandbox yet:
// what is run is our own program.
func ahead() bool {
	done := prepare()
	conn := process.New(process.Options{KeepEnv: true, NoWatch: true})
	rehearse(conn, append(append([]string{"/proc/self/fd/" + strconv.Itoa(ProgramFD)}, before(os.Args)...), "version")...)
	_ = conn.Close()
	return done
}

// rehearsal is how long we wait for somebody to come before we rehearse: who wants a sandbox that has just been made comes at once, and shall not be
// in our way.
const rehearsal = 30 * time.Millisecond

// threads are how many we keep in reserve: a program that has all the processes that there may be leaves none to us, and without a thread that it needs
// Go's runtime ends the program. Each file that is read or written at the moment may need one, and on a slow machine longer: so many copies at once are safe.
const threads = 24

// spare has so many threads made. Those that are not needed wait, and are never ended.
func spare(n int) {
	var made, done sync.WaitGroup
	done.Add(1)
	for range n {
		made.Add(1)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			made.Done()
			done.Wait() // each on its own
		}()
	}
	made.Wait()
	done.Done()
}

// settled is how long after the first has come we run on more than one processor: who comes for a moment does not wait for that to be arranged.
const settled = 50 * time.Millisecond

// rehearse runs a command as if somebody had come, so that who comes later does not wait for what a program does at its first time.
func rehearse(conn compute.Conn, command ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = agent.Serve(ctx, theirs, conn, agent.Options{})
	}()
	c := agent.New(ours)
	_, _ = c.Run(ctx, &compute.Command{Args: command}) // not our own program, which is the host's; that there may be none here is as good
	_ = c.Close()
	<-done
}

// forgetting is how often it is looked whether anybody still knows of us.
const forgetting = 20 * time.Second

// forgotten calls end when the file is removed: with its state a hostler loses all that could end us.
func forgotten(fd int, end func()) {
	for range time.Tick(forgetting) {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Nlink == 0 {
			end()
			return
		}
	}
}

// before is what stands before our own first word: "agent" where hostler itself is the agent.
func before(args []string) []string {
	if len(args) > 1 && args[1] == "agent" {
		return []string{"agent"}
	}
	return nil
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
