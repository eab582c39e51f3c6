package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/vm/jail"
	"github.com/hostler-project/hostler/provider/vm/qmp"
)

// markVariable is the environment variable that tells a qemu's instance. A process that was started
// and not yet recorded is found by it.
const markVariable = "HOSTLER_INSTANCE_MARK"

// mark is the value of markVariable in an instance's qemu. It has the directory in it, as an
// installation may have several.
func (p *Provider) mark(id compute.ID) string {
	return p.o.Installation + "/" + p.o.Source + "/" + string(id) + "/" + word(p.o.Dir)
}

// strays ends all processes with a mark: those whose starter was killed before it recorded them.
func strays(ctx context.Context, mark string) error {
	for {
		all, err := marked(mark)
		if err != nil || len(all) == 0 {
			return err
		}
		for _, h := range all {
			if err = h.Kill(ctx); err != nil {
				break
			}
		}
		proc.Close(all)
		if err != nil {
			return err
		}
	}
}

// marked opens this user's processes with a mark in their environment. Other users' do not count:
// with them anybody could keep strays busy for ever. The caller closes the handles.
func marked(mark string) ([]*proc.Handle, error) {
	has, self := proc.Marked(markVariable+"="+mark), os.Getpid()
	return proc.Find(func(pid int) bool { return pid != self && ownUser(pid) && has(pid) })
}

// ownUser reports whether a process is all of this user, or of one that we make qemus run as.
func ownUser(pid int) bool {
	us, all := os.Geteuid(), users(pid)
	for _, id := range all {
		if id != all[0] || id != us && (us != 0 || id < uidFirst || id >= uidFirst+uidCount) {
			return false
		}
	}
	return len(all) == 4
}

// users returns a process's user ids: real, effective, saved, of files. The owner of its directory
// in /proc is not enough: that is root for a process that is not dumpable.
func users(pid int) (all []int) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return nil
	}
	_, line, _ := bytes.Cut(status, []byte("\nUid:"))
	line, _, _ = bytes.Cut(line, []byte("\n"))
	for _, f := range bytes.Fields(line) {
		if id, err := strconv.Atoi(string(f)); err == nil {
			all = append(all, id)
		}
	}
	return all
}

// starter starts a watcher of a process and ends.
const starter = `umask 077; watch=$1
(exec 3>>console.log 4>>qemu.log 5<>.kept && rm -f .kept && cd / && exec env -i PATH="$PATH" LC_ALL=C sh -c "$watch" sh "$2") >/dev/null 2>&1 </dev/null &`

// watcher is a shell script that keeps the logs of a qemu within bounds while it lives: a guest's
// console would fill the disk. Every ten seconds it cuts a file longer than 4 MiB to its last MiB,
// as trim does. It names no file: the directory may be gone by then, and another's process may have
// qemu's number.
const watcher = `since() { read -r stat 2>/dev/null </proc/$pid/stat || exit; set -- ${stat##*) }; [ "$1" != Z ] || exit; start=${20}; }
pid=$1; since; first=$start
while sleep 10; do
	since; [ "$start" = "$first" ] || exit
	for f in $(find -L /proc/self/fd/3 /proc/self/fd/4 -size +8192); do
		tail -c 1048576 "$f" >/proc/self/fd/5; : >"$f"; cat /proc/self/fd/5 >>"$f"; : >/proc/self/fd/5
	done
done`

// watch starts a watcher.
func watch(dir string, pid int) error {
	cmd := exec.Command("/bin/sh", "-c", starter, "sh", watcher, strconv.Itoa(pid))
	cmd.Dir, cmd.SysProcAttr, cmd.Env = dir, &syscall.SysProcAttr{Setsid: true}, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	return cmd.Run()
}

// launch starts a qemu in its jail and waits until it is set up. qemu lives on when this process
// ends. When it refuses, the error has its own words.
func (p *launcher) launch(ctx context.Context, c *cell) (proc.Process, error) {
	if c.handed.Err != nil {
		return proc.Process{}, c.handed.Err
	}
	c.scratch = filepath.Join(c.handed.Dir, "root")
	if err := os.MkdirAll(c.scratch, 0o700); err != nil {
		return proc.Process{}, err
	}
	defer os.Remove(c.scratch) // its root is mounted over it, and in its sight alone
	q, err := p.launchOnce(ctx, c, p.p.bare.Load())
	if ctx.Err() == nil && !p.p.bare.Load() && noJail(err) {
		p.p.log.Warn(
			"the kernel gives qemu no name spaces and no root of its own here: it runs without them", "source",
			p.p.o.Source, "err", err,
		)
		if q, err = p.launchOnce(ctx, c, true); err == nil {
			p.p.bare.Store(true)
		}
	}
	return q, err
}

// noJail reports whether an error means that the kernel gives us no name spaces or no root. ENOSPC
// counts for an ordinary user alone, whose limit may be zero: root's is only reached now.
func noJail(err error) bool {
	var spaces *spacesError
	switch {
	case err == nil:
		return false
	case errors.As(err, &spaces):
		return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) ||
			errors.Is(err, syscall.ENOSPC) && os.Geteuid() != 0
	}
	text := err.Error()
	return strings.Contains(text, jail.Trouble) &&
		(strings.Contains(text, syscall.EPERM.Error()) || strings.Contains(text, syscall.EACCES.Error()))
}

// launchOnce starts a qemu once, with or without its jail, and waits until it is set up.
func (p *launcher) launchOnce(ctx context.Context, c *cell, bare bool) (q proc.Process, err error) {
	dir := c.handed.Dir
	if c.log, err = os.OpenFile(filepath.Join(dir, "qemu.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600); err != nil {
		return q, err
	}
	defer c.log.Close()
	started, err := p.lockUp(ctx, c, bare)
	if err != nil {
		return q, err
	}
	q, err = proc.Identify(started.Pid)
	lives, ended := context.WithCancelCause(ctx)
	go func() { // only to reap it: its record is what it is known by
		state, _ := started.Wait()
		ended(fmt.Errorf("(%v)", state))
	}()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return q, err
	}
	if err := watch(dir, started.Pid); err != nil {
		return proc.Process{}, errors.Join(err, q.Kill(context.WithoutCancel(ctx)))
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if ok, err := q.Alive(); err != nil {
			return proc.Process{}, errors.Join(err, q.Kill(context.WithoutCancel(ctx)))
		} else if !ok {
			<-lives.Done()
			words, _ := tail(c.log.Name())
			return proc.Process{}, fmt.Errorf("qemu has ended at once: %s %v", lastLines(words), context.Cause(lives))
		}
		m, err := qmp.Open(lives, dir)
		if err == nil {
			_ = m.Close()
			return q, nil
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return proc.Process{}, errors.Join(ctx.Err(), err, q.Kill(context.WithoutCancel(ctx)))
		}
	}
}
