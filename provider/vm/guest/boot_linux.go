package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/detached"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace/receive"
)

// child is how bootInitrd calls its child: systemd spares processes with an @ when it switches the
// root.
const child = "@hostler-agent"

// bootInitrd is the first process of a machine. It starts a child and becomes the initrd's own
// first process. It returns only when it cannot.
func bootInitrd(args []string) error {
	_, err := syscall.ForkExec(Program, []string{child, ServeWord, BootWord}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintf(os.Stderr, "hostler: the agent does not start: %v\n", err)
	}
	var words []string
	for _, a := range args { // a script's own path comes among the arguments
		if a != First {
			words = append(words, a)
		}
	}
	for _, init := range []string{"/init", "/sbin/init", "/bin/sh"} {
		err = unix.Exec(init, append([]string{init}, words...), os.Environ())
	}
	return fmt.Errorf("/init: %w", err)
}

// followBoot is bootInitrd's child: it waits until the first process has gone to the machine's real
// root, goes there itself, and serves.
func followBoot(ctx context.Context, conn compute.Conn) error {
	console() // for errors
	d, proc, err := kernel()
	if err != nil {
		return err
	}
	for pause := 5 * time.Millisecond; ; pause = min(pause*5/4, 200*time.Millisecond) {
		moved, err := follow(proc)
		if err != nil {
			return err
		}
		if moved {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	_ = unix.Close(proc)
	return d.serve(ctx, conn)
}

// kernel opens the kernel's file systems, which may not be mounted anywhere yet, and leaves no
// mounts behind.
func kernel() (d devices, proc int, err error) {
	open := func(kind string) int {
		if err != nil {
			return -1
		}
		fd := -1
		if err = unix.Mount(kind, Places, kind, unix.MS_NOSUID|unix.MS_NOEXEC, ""); err == nil {
			fd, err = unix.Open(Places, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			_ = unix.Unmount(Places, unix.MNT_DETACH)
		}
		if err != nil {
			err = fmt.Errorf("mount %s: %w", kind, err)
		}
		return fd
	}
	d.sys, d.dev, proc = open("sysfs"), open("devtmpfs"), open("proc")
	return d, proc, err
}

// follow changes to the first process's root, if that is another than ours and already has /proc.
func follow(proc int) (bool, error) {
	var ours, theirs, real unix.Stat_t
	fd, err := unix.Openat(proc, "1/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("the first process's root: %w", err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Stat("/", &ours), unix.Fstat(fd, &theirs)); err != nil {
		return false, err
	}
	if ours.Dev == theirs.Dev && ours.Ino == theirs.Ino {
		return false, nil
	}
	if unix.Fstatat(fd, "proc/1", &real, 0) != nil || unix.Fstatat(fd, "dev/null", &real, 0) != nil {
		return false, nil
	}
	if err := unix.Fchdir(fd); err != nil {
		return false, err
	}
	if err := unix.Chroot("."); err != nil {
		return false, err
	}
	return true, unix.Chdir("/")
}

// console sends standard error to the console, and leaves the first process's session.
func console() {
	_, _ = unix.Setsid()
	for fd, flags := range []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_WRONLY} {
		path := "/dev/null"
		if fd == 2 {
			path = "/dev/console"
		}
		if n, err := unix.Open(path, flags|unix.O_NOCTTY, 0); err == nil && n != fd {
			_ = unix.Dup3(n, fd, 0)
			_ = unix.Close(n)
		}
	}
}

// BootMain is bootInitrd as a verb of the agent's program.
func BootMain(args []string) int { return told(bootInitrd(args)) }

// ServeMain is serve as a verb of the agent's program, or, with BootWord behind it, followBoot.
func ServeMain(args []string) int {
	// there is one of us in a machine, and what a collection costs is more where instructions are
	// emulated
	debug.SetGCPercent(100)
	boot := len(args) > 0 && args[0] == BootWord
	opt := process.Options{Dir: "/"}
	if boot {
		opt.Cgroup = group()
	}
	if opt.Cgroup == nil {
		opt.Reaper = []string{"/proc/self/exe", "reap"}
		if len(os.Args) > 1 && os.Args[1] == "agent" { // this program is hostler itself
			opt.Reaper = []string{"/proc/self/exe", "agent", "reap"}
		}
	}
	conn := detached.New(receive.New(process.New(opt), receive.Options{}))
	if boot {
		return told(followBoot(context.Background(), conn))
	}
	return told(serve(context.Background(), conn))
}

// group makes a cgroup for commands, beside those of the machine's own init, which leaves foreign
// groups alone. nil: this kernel has no place for one. The file system is mounted for a moment: the
// machine may mount it elsewhere later.
func group() *os.File {
	const kind, name = "cgroup2", "hostler"
	if !process.IntoCgroup() || unix.Mount(kind, Places, kind, unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, "") != nil {
		return nil
	}
	defer func() { _ = unix.Unmount(Places, unix.MNT_DETACH) }()
	if err := os.Mkdir(Places+"/"+name, 0o755); err != nil {
		return nil
	}
	f, err := os.Open(Places + "/" + name)
	if err != nil {
		return nil
	}
	return f
}

func told(err error) int {
	fmt.Fprintln(os.Stderr, "hostler-agent:", err)
	return 1
}
