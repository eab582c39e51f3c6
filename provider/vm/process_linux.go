package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Mark is the environment variable that tells a qemu whose it is: what was started and not yet recorded is found by it.
const Mark = "HOSTLER_INSTANCE_MARK"

// mark is the value of Mark in an instance's qemu.
func (p *Provider) mark(id compute.ID) string {
	return p.o.Installation + "/" + p.o.Source + "/" + string(id)
}

// bootID tells one boot of this machine from all others.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// look returns the process with a number as it is now; it is the zero one when there is none.
func look(pid int) process {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}
	}
	// The name in parentheses may hold anything; after it: state, parent, ... The time of start is the 22nd of all.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 20 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return process{}
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return process{}
	}
	return process{PID: pid, Start: start, Boot: bootID()}
}

// alive reports whether the process lives.
func (q process) alive() bool { return q.PID > 1 && look(q.PID) == q }

// open returns a descriptor of the process, which cannot become another's; -1 when it has ended.
func (q process) open() int {
	if q.PID <= 1 {
		return -1
	}
	fd, err := unix.PidfdOpen(q.PID, 0)
	if err != nil {
		return -1
	}
	if !q.alive() { // the number was another's already
		_ = unix.Close(fd)
		return -1
	}
	return fd
}

// kill ends the process and waits for its end.
func (q process) kill(ctx context.Context) error {
	fd := q.open()
	if fd < 0 {
		return nil
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return q.wait(ctx, fd, time.Now().Add(20*time.Second))
}

// wait waits until a process that is open has ended, at most until end.
func (q process) wait(ctx context.Context, fd int, end time.Time) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("poll", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("qemu, process %d, does not end", q.PID)
		}
	}
}

// strays ends all processes with a mark: those that were started by one who died before he could record it.
func strays(ctx context.Context, mark string) error {
	for {
		all, err := marked(mark)
		if err != nil || len(all) == 0 {
			return err
		}
		for _, q := range all {
			if err := q.kill(ctx); err != nil {
				return err
			}
		}
	}
}

// marked returns this user's processes with a mark in their environment: with others' anybody could keep strays busy for ever.
func marked(mark string) ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	want, self := []byte("\x00"+Mark+"="+mark+"\x00"), os.Getpid()
	var out []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == self {
			continue
		}
		if !ownUser(name) {
			continue
		}
		env, err := os.ReadFile("/proc/" + name + "/environ")
		if err != nil || !bytes.Contains(append([]byte{0}, env...), want) {
			continue
		}
		if q := look(pid); q.PID != 0 {
			out = append(out, q)
		}
	}
	return out, nil
}

// ownUser reports whether a process is all of this user. Who owns its directory in /proc does not tell: that is root when a process has closed itself.
func ownUser(pid string) bool {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return false
	}
	_, line, _ := bytes.Cut(status, []byte("\nUid:"))
	line, _, _ = bytes.Cut(line, []byte("\n"))
	ids, us := bytes.Fields(line), strconv.Itoa(os.Geteuid())
	for _, id := range ids { // real, effective, saved, of files
		if string(id) != us {
			return false
		}
	}
	return len(ids) == 4
}

// starter starts qemu, tells its number, and leaves a watcher behind.
const starter = `umask 077; watch=$1; shift
"$@" </dev/null >&2 & echo $!
(exec 3>>console.log 4>>qemu.log 5<>.kept && rm -f .kept && cd / && exec env -i PATH="$PATH" LC_ALL=C sh -c "$watch" sh $!) >/dev/null 2>&1 </dev/null &`

// watcher is a shell's script that keeps the logs of a qemu within bounds while it lives: what a guest says on its console would fill the disk.
// It looks every ten seconds, and cuts what is longer than 4 MiB to its last MiB, as trim does. It names no file: the directory may be
// gone when it looks, and another's process may have qemu's number then.
const watcher = `since() { read -r stat 2>/dev/null </proc/$pid/stat || exit; set -- ${stat##*) }; [ "$1" != Z ] || exit; start=${20}; }
pid=$1; since; first=$start
while sleep 10; do
	since; [ "$start" = "$first" ] || exit
	for f in $(find -L /proc/self/fd/3 /proc/self/fd/4 -size +8192); do
		tail -c 1048576 "$f" >/proc/self/fd/5; : >"$f"; cat /proc/self/fd/5 >>"$f"; : >/proc/self/fd/5
	done
done`

// launch starts a qemu in dir and waits until it is set up. It is a process of its own: a shell starts it and ends, so that it is nobody's child,
// and nobody has to wait for its end. Its own words are in the error when it refuses.
func launch(ctx context.Context, qemu, dir, mark string, args []string) (q process, err error) {
	_ = os.Remove(filepath.Join(dir, "qmp"))
	log, err := os.OpenFile(filepath.Join(dir, "qemu.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return q, err
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", starter, "sh", watcher, qemu}, args...)...)
	cmd.Dir, cmd.Stderr, cmd.SysProcAttr = dir, log, &syscall.SysProcAttr{Setsid: true}
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TMPDIR=" + dir, Mark + "=" + mark}
	out, err := cmd.Output()
	if err != nil {
		return q, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return q, err
	}
	q = look(pid)
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if !q.alive() {
			words, _ := tail(log.Name())
			return process{}, fmt.Errorf("qemu has ended at once: %s", lastLines(words))
		}
		_, done, err := monitorIn(ctx, dir)
		if err == nil {
			done()
			return q, nil
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return process{}, errors.Join(ctx.Err(), err, q.kill(context.WithoutCancel(ctx)))
		}
	}
}
