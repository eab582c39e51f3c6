package enter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/detached"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace/receive"
)

// Main is the agent's verb "sandbox": it becomes the first process of a sandbox, and serves until
// it is killed. It returns the exit status.
func Main(words []string) int {
	plan, fds, err := first(slices.Contains(words, Ahead) && ahead())
	if err != nil {
		return complain(err)
	}
	// What we were born with is not for the commands.
	if plan.has("descriptors") {
		if err := unix.CloseRange(controlFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
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
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "USER": "root",
		"LOGNAME": "root", "SHELL": "/bin/sh", "LANG": "C.UTF-8",
	}
	maps.Copy(env, plan.Env)
	for k, v := range env {
		if err := os.Setenv(k, v); err != nil {
			return complain(err)
		}
	}
	mine := threads{few: plan.PIDs > 0 && plan.PIDs < bombed}
	opt := process.Options{KeepEnv: true, Dir: plan.Dir, Orphans: process.NewOrphans(), NoWatch: true, Own: true}
	opt.Orphans.Began, opt.Orphans.Alone = mine.began, mine.rest
	if plan.Group > 0 && plan.clone3 { // to be born in a group takes clone3
		opt.Cgroup = os.NewFile(uintptr(fds[plan.Group-1]), "cgroup")
	} else {
		opt.Reaper = append([]string{"/proc/self/exe"}, before(os.Args)...)
		// all that is here but us comes of commands
		opt.Reaper, opt.Alone = append(opt.Reaper, "reap"), true
	}
	conn := process.New(opt)
	kept := detached.New(receive.New(conn, receive.Options{}))
	go opt.Orphans.Run(context.Background()) // to our end
	var used atomic.Bool
	go func() {
		conn.Prepare()
		time.Sleep(rehearsal)
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
		used.Store(true)
		mine.came()
		go func() {
			defer mine.rest()
			// ends with its connection, or with the sandbox
			_ = agent.Serve(context.Background(), c, kept, agent.Options{})
		}()
	}
}

// bear makes the signals harmless that would end this process: root inside may send them, as to a
// first process of any system. Go's runtime has handlers for them. Without handlers the kernel lets
// no such signal through to a first process. Catching them would take two threads.
func bear() {
	all := [...]unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS,
		unix.SIGFPE, unix.SIGSEGV,
		unix.SIGSYS, unix.SIGTERM, unix.SIGSTKFLT}
	if os.Getpid() != 1 { // a test has us in no name space of our own
		for _, s := range all {
			signal.Notify(make(chan os.Signal, 1), s)
		}
		return
	}
	var none struct{ handler, flags, restorer, mask uint64 }
	for _, s := range all {
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&none)), 0, unsafe.Sizeof(none.mask), 0, 0)
	}
}

// Ahead is the word for a first process that is started before it is wanted.
const Ahead = "ahead"

// ahead does what a program does at its first start, so that the first client does not wait for it.
// It calls prepare and returns its result. There is no sandbox yet, so the command it runs is our
// own program.
func ahead() bool {
	done := prepare()
	conn := process.New(process.Options{KeepEnv: true, NoWatch: true})
	rehearse(conn, append(append([]string{"/proc/self/fd/" + strconv.Itoa(ProgramFD)}, before(os.Args)...), "version")...)
	_ = conn.Close()
	return done
}

// rehearsal is how long this process waits for a client before it rehearses. The client that
// ordered a new sandbox connects at once, and the rehearsal must not slow it down.
const rehearsal = 30 * time.Millisecond

// rehearse runs a command as a client would, so that later clients do not wait for what a program
// does at its first start.
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
	// not our own program, which is the host's; that there may be none here is as good
	_, _ = c.Run(ctx, &compute.Command{Args: command})
	_ = c.Close()
	<-done
}

// forgetting is how often it is looked whether anybody still knows of us.
const forgetting = 20 * time.Second

// forgotten calls end when the file is removed: with its state a hostler loses all that could end
// us.
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
