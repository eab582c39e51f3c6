//go:build amd64 || arm64

package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inner is the word of the process that becomes the command; handFD is the socket by which it hands
// over what the watcher is asked on.
const (
	inner  = "inner"
	handFD = 3
)

// The statuses of a command that cannot be started, as shells have them.
const (
	notBegun = 125
	notExec  = 126
	notFound = 127
)

// Main runs a command and writes the report of it. It ends as the command does.
func Main(args []string) int {
	if len(args) < 3 || args[1] != "--" {
		fmt.Fprintln(os.Stderr, "hostler: watch takes FILE -- COMMAND [ARG...]")
		return notBegun
	}
	if args[0] == inner {
		return become(args[2:])
	}
	state, err := watched(args[0], args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostler: the command cannot be watched:", err)
		return notBegun
	}
	if state.Signaled() {
		dieOf(state.Signal())
	}
	return state.ExitStatus()
}

// watched runs the command, serves its filter, and writes the report.
func watched(file string, command []string) (syscall.WaitStatus, error) {
	// Where the command is ended by a signal to all of its group, we live to write the report.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "hand")
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: append(
		append(os.Args[:len(os.Args)-len(command)-2:len(os.Args)-len(command)-2], inner, "--"), command...,
	),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: []*os.File{theirs}}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_ = theirs.Close()
	b := newBook()
	if fd, err := take(pair[0]); err == nil { // else the other has said why and ends
		go b.serve(fd)
	}
	_ = unix.Close(pair[0])
	err = cmd.Wait()
	if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
		return 0, err
	}
	if err := b.write(file); err != nil {
		fmt.Fprintln(os.Stderr, "hostler: the report cannot be written:", err)
	}
	return cmd.ProcessState.Sys().(syscall.WaitStatus), nil
}

// take receives the descriptor on which the watcher is asked.
func take(socket int) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	n, on, _, _, err := unix.Recvmsg(socket, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return -1, errors.Join(err, errors.New("no descriptor came"))
	}
	messages, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil || len(messages) == 0 {
		return -1, errors.Join(err, errors.New("no descriptor came"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return -1, errors.Join(err, errors.New("no descriptor came"))
	}
	return fds[0], nil
}

// become loads the filter and becomes the command. Looking for it on PATH is watched too.
func become(command []string) int {
	runtime.LockOSThread() // the filter is this thread's, and so the command's
	unix.CloseOnExec(handFD)
	fd, err := listen()
	if err == nil {
		err = unix.Sendmsg(handFD, []byte{0}, unix.UnixRights(fd), nil, 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostler:", err)
		return notBegun
	}
	file, err := exec.LookPath(command[0])
	if err == nil || errors.Is(err, exec.ErrDot) {
		err = syscall.Exec(file, command, os.Environ())
	}
	switch {
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(os.Stderr, "hostler: %q: command not found\n", command[0])
		return notFound
	case errors.Is(err, unix.ENOEXEC):
		fmt.Fprintf(os.Stderr, "hostler: %q is no program of this machine\n", command[0])
	default:
		fmt.Fprintf(os.Stderr, "hostler: %q cannot be run: %v\n", command[0], err)
	}
	return notExec
}

// dieOf ends us by a signal. Go's own handler of it would write about that.
func dieOf(s syscall.Signal) {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // the command's own is enough
	var action struct{ handler, flags, restorer, mask uint64 }
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
	_ = unix.Kill(os.Getpid(), s)
	time.Sleep(time.Second) // another thread may get it
	os.Exit(128 + int(s))
}

// program returns what file a process runs, or its name where that is not to be seen.
func program(pid uint32) string {
	proc := fmt.Sprintf("/proc/%d/", pid)
	if file, err := os.Readlink(proc + "exe"); err == nil {
		return strings.TrimSuffix(file, " (deleted)")
	}
	name, _ := os.ReadFile(proc + "comm")
	return path.Base("/" + strings.TrimSpace(string(name)))
}
