//go:build linux

package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hostileEnv makes the test's program a hostile one, which tries to get out of the sandbox that it
// runs in: its value is what to try, and with what.
const hostileEnv = "HOSTLER_TEST_HOSTILE"

// hostile prints "open" when what it tries works, else "refused" and why.
func hostile(text string) int {
	words := strings.Fields(text)
	try, ok := attempts[words[0]]
	if !ok {
		panic("no attempt " + words[0])
	}
	if err := try(words[1:]); err != nil {
		fmt.Println("refused:", err)
		return 0
	}
	fmt.Println("open")
	return 0
}

var attempts = map[string]func(args []string) error{
	"exists": func(args []string) error { // one of the paths is there
		var errs []error
		for _, path := range args {
			_, err := os.Lstat(path)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	},
	"see": func(args []string) error { // a process of the host's, by its number there
		pid, _ := strconv.Atoi(args[0])
		if exe, err := os.Readlink("/proc/" + args[0] + "/exe"); err == nil && strings.HasSuffix(exe, args[1]) {
			return nil
		}
		b, err := os.ReadFile("/proc/" + args[0] + "/cmdline")
		if err != nil {
			return err
		}
		if !strings.Contains(string(b), args[1]) {
			return fmt.Errorf("%d is another process", pid)
		}
		return nil
	},
	"signal": func(args []string) error { // none is sent, but it is asked whether one could be
		pid, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return unix.Kill(pid, 0)
	},
	"read": func(args []string) error {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Read(make([]byte, 1))
		return err
	},
	"abstract": func(args []string) error {
		c, err := net.DialTimeout("unix", "@"+args[0], time.Second)
		if err == nil {
			c.Close()
		}
		return err
	},
	"tcp": func(args []string) error {
		c, err := net.DialTimeout("tcp", args[0], time.Second)
		if err == nil {
			c.Close()
		}
		return err
	},
	"shm": func(args []string) error {
		key, _ := strconv.Atoi(args[0])
		_, err := unix.SysvShmGet(key, 4096, 0)
		return err
	},
	"mount": func([]string) error { return unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "") },
	"remount": func([]string) error {
		return unix.Mount("", "/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND, "")
	},
	"umount": func([]string) error { return unix.Unmount("/proc/sys", unix.MNT_DETACH) },
	"pivot": func([]string) error {
		if err := os.MkdirAll("/tmp/p/old", 0o755); err != nil {
			return err
		}
		return unix.Unshare(unix.CLONE_NEWNS)
	},
	"users": func([]string) error {
		cmd := exec.Command("/bin/true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
		return cmd.Run()
	},
	"clone3": func([]string) error { // a user name space by the call whose flags no filter sees
		args := struct{ flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64 }{
			flags: unix.CLONE_NEWUSER, exitSignal: 17,
		}
		pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		if errno != 0 {
			return errno
		}
		if pid == 0 {
			_, _, _ = syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
		}
		return nil
	},
	"agent": func([]string) error { // the first process's memory, root, files, program
		var errs []error
		for _, name := range []string{"root/etc", "cwd/etc", "fd/0", "exe", "environ", "maps"} {
			f, err := os.Open("/proc/1/" + name)
			if err == nil {
				_, err = f.Read(make([]byte, 1))
				f.Close()
			}
			if err == nil || errors.Is(err, syscall.EISDIR) {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	},
	"ptrace": func(args []string) error {
		pid, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return unix.PtraceSeize(pid)
	},
	"descriptors": func([]string) error { // that were somebody else's
		for fd := 3; fd < 64; fd++ {
			name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			if err == nil && !strings.HasPrefix(name, "anon_inode:") && !strings.HasPrefix(name, "pipe:") &&
				!strings.HasPrefix(name, "/proc/") {
				return nil
			}
		}
		return errors.New("none but the standard ones")
	},
	"setuid": func(args []string) error { // a set-uid program, by somebody who is not root
		out, err := exec.Command(args[0], "id").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if strings.TrimSpace(string(out)) != "euid 0" {
			return errors.New(strings.TrimSpace(string(out)))
		}
		return nil
	},
	"writable": func(args []string) error { // opened, and not written: it is the whole machine's
		f, err := os.OpenFile(args[0], os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		return err
	},
	"device": func(args []string) error { // the host's disk
		dev, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if err := unix.Mknod("/dev/disk", unix.S_IFBLK|0o666, dev); err != nil {
			return err
		}
		// the root is on no disk: then it was asked for
		if _, err = os.Open("/dev/disk"); errors.Is(err, unix.ENXIO) {
			return nil
		}
		return err
	},
	"cgroup": func([]string) error {
		_, err := cgroups()
		return err
	},
	"release-agent": func([]string) error { // opened, and not written: it is the whole machine's
		dir, err := cgroups()
		if err != nil {
			return err
		}
		f, err := os.OpenFile(dir+"/release_agent", os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		return err
	},
	// the old way out: keep a directory open, change the root below it, and climb
	"chroot": func(args []string) error {
		here, err := os.Open("/")
		if err != nil {
			return err
		}
		if err := os.MkdirAll("/tmp/deep", 0o755); err != nil {
			return err
		}
		if err := unix.Chroot("/tmp/deep"); err != nil {
			return err
		}
		if err := here.Chdir(); err != nil {
			return err
		}
		for range 64 {
			if err := unix.Chdir(".."); err != nil {
				return err
			}
		}
		_, err = os.Lstat("." + args[0])
		return err
	},
	// a copy into and out of a directory by the names of paths, as no copy should be, until both
	// were led astray
	"by-name": func(args []string) error {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			_ = os.WriteFile(args[0]+"/planted", nil, 0o644)
			text, _ := os.ReadFile(args[0] + "/file")
			if _, err := os.Lstat(args[1] + "/planted"); err == nil && strings.Contains(string(text), args[2]) {
				return os.Remove(args[1] + "/planted")
			}
		}
		return errors.New("nothing led astray")
	},
	"processes": func(args []string) error { // so many at once
		n, _ := strconv.Atoi(args[0])
		var all []*exec.Cmd
		defer func() {
			for _, c := range all {
				_ = c.Process.Kill()
				_ = c.Wait()
			}
		}()
		for range n {
			c := exec.Command("/bin/sleep", "60")
			if err := c.Start(); err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	},
	// all the processes that there may be, and again when one ends; without new threads, of which
	// there are none then either
	"hoard": func([]string) error {
		debug.SetGCPercent(-1)
		var made, done sync.WaitGroup
		done.Add(1)
		for range 8 { // what Go's runtime needs beside us, or it ends us
			made.Add(1)
			go func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				made.Done()
				done.Wait()
			}()
		}
		made.Wait()
		done.Done()
		for {
			pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			for errno == 0 && pid == 0 {
				_, _, _ = syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0) // for ever
			}
		}
	},
	"memory": func(args []string) error {
		n, _ := strconv.Atoi(args[0])
		b := make([]byte, n)
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		return nil
	},
	"disk": func(args []string) error {
		n, _ := strconv.Atoi(args[0])
		defer os.Remove("/var/full")
		return os.WriteFile("/var/full", make([]byte, n), 0o644)
	},
	"deep": func(args []string) error { // directories deeper than anybody has descriptors
		n, _ := strconv.Atoi(args[0])
		if err := os.Chdir("/var"); err != nil {
			return err
		}
		for range n {
			if err := unix.Mkdir("d", 0o700); err != nil {
				return err
			}
			if err := unix.Chdir("d"); err != nil {
				return err
			}
		}
		return unix.Mkdir("closed", 0)
	},
	"fifo": func(args []string) error { // a socket of the host's, by its path
		c, err := net.DialTimeout("unix", args[0], time.Second)
		if err == nil {
			c.Close()
		}
		return err
	},
	"stay": func(args []string) error { // a process that nothing ties to the command
		cmd := exec.CommandContext(context.Background(), "/bin/sleep", args[0])
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Env = []string{}
		return cmd.Start()
	},
	"write": func(args []string) error { // wherever root may
		var errs []error
		for _, dir := range args {
			err := os.WriteFile(filepath.Join(dir, "hostler-test-written"), []byte("x"), 0o644)
			if err != nil && !errors.Is(err, fs.ErrPermission) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	},
}

// cgroups mounts control groups, of version 1 if there are any.
func cgroups() (string, error) {
	const at = "/tmp/cg"
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	var errs []error
	for _, controller := range []string{"memory", "pids", "cpu", "freezer"} {
		err := unix.Mount("cgroup", at, "cgroup", 0, controller)
		if err == nil {
			return at, nil
		}
		errs = append(errs, err)
	}
	err := unix.Mount("cgroup", at, "cgroup2", 0, "")
	if err == nil {
		return at, nil
	}
	return "", errors.Join(append(errs, err)...)
}
