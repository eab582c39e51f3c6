package process

import (
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/remote/shell"
)

// deathDelay is how long a command runs before a watch over our own death starts for it: most
// commands are shorter, and need not pay for that.
const deathDelay = 200 * time.Millisecond

// deathScript waits for the end of its input, which is the end of this process for whatever reason.
// It kills the group $1, or with "s" for $2 all of the session $1. Then, where $3 is not empty, it
// kills the processes with that in their environment, and where descriptor 3 is a cgroup's
// cgroup.kill, all in that group.
const deathScript = `trap "" HUP INT TERM QUIT TSTP;read -r x
[ "$4" = c ]&&{ echo 1 >&3;} 2>/dev/null
m=$3
if [ "$2" = s ];then for f in /proc/[0-9]*;do r=;{ read -r r <"$f/stat";} 2>/dev/null;[ -n "$r" ]||continue
set -- "$1" s ${r##*) };[ "$6" = "$1" ]&&kill -9 "${f#/proc/}" 2>/dev/null;done;fi
kill -9 "-$1" 2>/dev/null
[ -n "$m" ]||exit 0
set -- KILL "$m"
` + shell.KillTree

// deathWatch ends a command's group when this process dies without a chance to do so itself, by
// SIGKILL for one. A process of its own does it: the kernel's way (PR_SET_PDEATHSIG) is for one
// process alone, and also reacts to the end of a mere thread of ours.
type deathWatch struct {
	timer *time.Timer

	mu   sync.Mutex
	over bool
	cmd  *exec.Cmd // nil: not started
	held *os.File  // our end of its input
}

// watchDeath starts a watch over a job's processes. It does without where that fails. stop must be
// called before the number can be another's.
func watchDeath(j *job) *deathWatch {
	w := &deathWatch{}
	w.timer = time.AfterFunc(deathDelay, func() { w.start(j) })
	return w
}

// start starts the watching process for a job.
func (w *deathWatch) start(j *job) {
	w.mu.Lock() // held while a process starts: stop needs to know whether it did
	defer w.mu.Unlock()
	if w.over {
		return
	}
	r, held, err := os.Pipe()
	if err != nil {
		return
	}
	kind, all := "g", ""
	if j.session {
		kind = "s"
	}
	end := j.descendants.killFile()
	if end != nil {
		all = "c"
		defer func() { _ = end.Close() }()
	}
	c := exec.Command("/bin/sh", "-c", deathScript, "sh", strconv.Itoa(j.pid), kind, j.mark, all)
	if end != nil {
		c.ExtraFiles = []*os.File{end}
	}
	c.Env, c.Dir, c.Stdin = []string{}, "/", r
	// a terminal's end and its keys must not reach it
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = c.Start()
	_ = r.Close()
	if err != nil {
		_ = held.Close()
		return
	}
	w.cmd, w.held = c, held
}

// stop ends the watch.
func (w *deathWatch) stop() {
	if w == nil {
		return
	}
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.cmd != nil {
		_ = w.cmd.Process.Kill() // before the end of its input, or it would do its work
		_ = w.cmd.Wait()
		_ = w.held.Close()
		w.cmd = nil
	}
}
