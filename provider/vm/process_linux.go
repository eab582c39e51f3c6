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
	"github.com/hostler-project/hostler/proc"
)

// Mark is the environment variable that tells a qemu whose it is: what was started and not yet recorded is found by it.
const Mark = "HOSTLER_INSTANCE_MARK"

// mark is the value of Mark in an instance's qemu.
func (p *Provider) mark(id compute.ID) string {
	return p.o.Installation + "/" + p.o.Source + "/" + string(id)
}

// strays ends all processes with a mark: those that were started by one who died before he could record it.
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

// marked opens this user's processes with a mark in their environment: with others' anybody could keep strays busy for ever. The caller closes them.
func marked(mark string) ([]*proc.Handle, error) {
	has, self := proc.Marked(Mark+"="+mark), os.Getpid()
	return proc.Find(func(pid int) bool { return pid != self && ownUser(pid) && has(pid) })
}

// ownUser reports whether a process is all of this user. Who owns its directory in /proc does not tell: that is root when a process has closed itself.
func ownUser(pid int) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
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
func launch(ctx context.Context, qemu, dir, mark string, args []string) (q proc.Process, err error) {
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
	if q, err = proc.Of(pid); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return q, err
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if ok, err := q.Alive(); err != nil {
			return proc.Process{}, errors.Join(err, q.Kill(context.WithoutCancel(ctx)))
		} else if !ok {
			words, _ := tail(log.Name())
			return proc.Process{}, fmt.Errorf("qemu has ended at once: %s", lastLines(words))
		}
		_, done, err := monitorIn(ctx, dir)
		if err == nil {
			done()
			return q, nil
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return proc.Process{}, errors.Join(ctx.Err(), err, q.Kill(context.WithoutCancel(ctx)))
		}
	}
}
