package process

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// A reaper is a process between us and a command. It inherits the command's orphans, however they
// have left its group, session and environment. It ends them when the command has ended, or when we
// have. It gets its order over a socket, its descriptor 3, so that no list of processes shows it.
// It answers 0 or the number of the error, and in the end the wait status, four bytes each. The
// command is in the reaper's process group, which signals go to; the reaper itself ignores all.

// reapWait bounds how long a reaper tries to kill processes that do not end.
const reapWait = 3 * time.Second

// startReaped starts a command below a reaper.
func (k *descendants) startReaped(c *exec.Cmd, p *program) error {
	dir := c.Dir
	if dir == "" { // our own directory, which is not the reaper's
		var err error
		if dir, err = syscall.Getwd(); err != nil {
			return os.NewSyscallError("getcwd", err)
		}
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "reaper"), os.NewFile(uintptr(fds[1]), "reaper")
	var spec spec
	spec.word(p.path)
	spec.word(dir)
	spec.words(c.Args)
	spec.words(c.Env)
	if cred := c.SysProcAttr.Credential; cred != nil {
		spec.number(1)
		spec.number(cred.Uid)
		spec.number(cred.Gid)
		spec.number(uint32(len(cred.Groups)))
		for _, g := range cred.Groups {
			spec.number(g)
		}
	} else {
		spec.number(0)
	}
	// One thread at a time and no collection make it start faster; its environment is not the
	// command's.
	c.Path, c.Args, c.Dir, c.Env = k.e.opt.Reaper[0], k.e.opt.Reaper, "/", []string{"GOMAXPROCS=1", "GOGC=off"}
	c.SysProcAttr.Credential = nil
	c.ExtraFiles = []*os.File{theirs}
	k.ooms = k.oomKills()
	err = k.e.opt.Orphans.start(c)
	_ = theirs.Close()
	if err != nil {
		_ = ours.Close()
		return err
	}
	_, err = ours.Write(binary.BigEndian.AppendUint32(nil, uint32(len(spec))))
	if err == nil {
		_, err = ours.Write(spec)
	}
	var answer [4]byte
	if err == nil {
		_, err = io.ReadFull(ours, answer[:])
	}
	if n := binary.BigEndian.Uint32(answer[:]); err == nil && n != 0 {
		err = &fs.PathError{Op: "fork/exec", Path: p.path, Err: syscall.Errno(n)}
	}
	if err != nil {
		_ = ours.Close()
		_ = c.Process.Kill()
		k.e.opt.Orphans.wait(c)
		return err
	}
	k.control = ours
	return nil
}

// readStatus reads how the command ended, after the reaper has.
func readStatus(f *os.File) (unix.WaitStatus, bool) {
	var b [4]byte
	_, err := io.ReadFull(f, b[:])
	return unix.WaitStatus(binary.BigEndian.Uint32(b[:])), err == nil
}

// spec is a reaper's order.
type spec []byte

func (s *spec) number(n uint32) { *s = binary.BigEndian.AppendUint32(*s, n) }

func (s *spec) word(w string) {
	s.number(uint32(len(w)))
	*s = append(*s, w...)
}

func (s *spec) words(all []string) {
	s.number(uint32(len(all)))
	for _, w := range all {
		s.word(w)
	}
}

// readNumber reads 4 bytes, big-endian. A short rest is dropped, and gives zero.
func (s *spec) readNumber() uint32 {
	if len(*s) < 4 {
		*s = nil
		return 0
	}
	n := binary.BigEndian.Uint32(*s)
	*s = (*s)[4:]
	return n
}

// readWord reads a length and that many bytes. A short rest is dropped, and gives an empty word.
func (s *spec) readWord() string {
	n := int(s.readNumber())
	if n > len(*s) {
		n, *s = 0, nil
	}
	w := string((*s)[:n])
	*s = (*s)[n:]
	return w
}

func (s *spec) readWords() []string {
	var out []string
	for n := s.readNumber(); n > 0 && len(*s) > 0; n-- {
		out = append(out, s.readWord())
	}
	return out
}

// Reap is the reaper: the program that Options.Reaper names calls it, does nothing else, and exits
// with its result.
func Reap() int {
	// First of all: otherwise a process of the same user, as a command in a sandbox, reaches our
	// program's file by /proc/PID/exe and changes its mode. The file may be on a file system that
	// the process does not see. A child shares this until it is another program.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return 1
	}
	line := os.NewFile(3, "reaper")
	unix.CloseOnExec(3)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1
	}
	// Caught and dropped, not ignored: the command would inherit an ignored signal. The runtime
	// drops the others anyhow; to ask for all takes as long as the rest of this.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGTERM, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU,
		unix.SIGTRAP, unix.SIGSYS)
	r := bufio.NewReader(line)
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 1
	}
	b := make(spec, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return 1
	}
	path, dir, args, env := b.readWord(), b.readWord(), b.readWords(), b.readWords()
	attr := &os.ProcAttr{Dir: dir, Env: env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{}}
	if b.readNumber() == 1 {
		cred := &syscall.Credential{Uid: b.readNumber(), Gid: b.readNumber()}
		for n := b.readNumber(); n > 0 && len(b) > 0; n-- {
			cred.Groups = append(cred.Groups, b.readNumber())
		}
		attr.Sys.Credential = cred
	}
	answer := func(n uint32) { _, _ = line.Write(binary.BigEndian.AppendUint32(nil, n)) }
	p, err := os.StartProcess(path, args, attr)
	if err != nil {
		var no syscall.Errno
		if !errors.As(err, &no) {
			no = syscall.EIO
		}
		answer(uint32(no))
		return 0
	}
	for fd := range 3 { // the command's streams are its own: they end with it
		null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Dup2(null, fd)
			_ = unix.Close(null)
		}
	}
	answer(0)
	var late atomic.Int64 // when to give up; 0: the command runs
	go func() {
		_, _ = r.ReadByte() // until we are told to end it
		late.CompareAndSwap(0, time.Now().Add(reapWait).UnixNano())
		for {
			killChildren()
			time.Sleep(time.Millisecond)
		}
	}()
	var status syscall.WaitStatus
	for {
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == nil && pid == p.Pid || err != nil && err != syscall.EINTR {
			break
		}
	}
	late.CompareAndSwap(0, time.Now().Add(reapWait).UnixNano())
	for pause := 50 * time.Microsecond; time.Now().UnixNano() < late.Load(); pause = min(2*pause, 20*time.Millisecond) {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.ECHILD {
			break
		}
		if pid <= 0 {
			killChildren()
			time.Sleep(pause)
		}
	}
	answer(uint32(status))
	return 0
}

// killChildren kills our children, generation by generation: each becomes ours when its parents are
// gone.
func killChildren() {
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range files {
		b, _ := os.ReadFile(name)
		for _, word := range bytes.Fields(b) {
			if pid, err := strconv.Atoi(string(word)); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	if len(files) > 0 {
		return
	}
	// A kernel that does not list children.
	all, _ := proc.All()
	for pid, s := range all {
		if s.Parent == os.Getpid() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}
