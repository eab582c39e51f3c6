package supervise

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// record is the stored state of a group.
type record struct {
	Group Group `json:"group"`
	Gone  bool  `json:"gone,omitempty"`
	// boot of the machine in which this was so
	Boot     string                     `json:"boot,omitempty"`
	Programs map[string]recordedProgram `json:"states"`
}

// recordedProgram is how a program was.
type recordedProgram struct {
	Want   bool         `json:"want,omitempty"`
	State  State        `json:"state"`
	Since  time.Time    `json:"since"`
	Exit   string       `json:"exit,omitempty"`
	Error  string       `json:"error,omitempty"`
	Starts int          `json:"starts,omitempty"`
	Proc   proc.Process `json:"process,omitzero"`
	Begun  time.Time    `json:"begun,omitzero"`
}

const suffix = ".group"

func errUnopened(err error) error {
	return &compute.Error{Op: "supervise.New", Kind: compute.ErrUnavailable, Err: err}
}

// lockDir takes the directory of records for as long as the file is open.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errUnopened(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errUnopened(err)
	}
	// a child that a killed supervisor was about to start has the lock for a moment
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		_ = lock.Close()
		return nil, &compute.Error{
			Op: "supervise.New", Kind: compute.ErrConflict, Err: fmt.Errorf("another supervisor has %s", dir),
			Hint: "end that one first",
		}
	}
	return lock, nil
}

// identity reads the identity of the directory's supervisors, and makes a missing one.
func identity(file string) (string, error) {
	text, err := os.ReadFile(file)
	if id := strings.TrimSpace(string(text)); err == nil && plain(id) {
		return id, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := rand.Text()
	return id, write(file, []byte(id+"\n"), true)
}

// write puts a file in the place of another; sync: it is to outlast a loss of power.
func write(file string, text []byte, sync bool) error {
	f, err := os.OpenFile(file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil || !sync {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func (c *core) file(group string) string { return filepath.Join(c.o.Dir, group+suffix) }

// note writes a group's record; with sync it is on the disk when note returns.
func (c *core) note(g *group, sync bool) error {
	boot, _ := proc.BootID() // adopt has asked for it
	r := record{
		Group: Group{Name: g.name, Programs: make([]Program, 0, len(g.progs))}, Gone: g.gone, Boot: boot,
		Programs: map[string]recordedProgram{},
	}
	for _, p := range g.progs {
		r.Group.Programs = append(r.Group.Programs, p.Program)
		w := recordedProgram{Want: p.want, State: p.state, Since: p.since, Exit: p.exit, Error: p.err, Starts: p.starts}
		if p.run != nil {
			w.Proc, w.Begun = p.run.proc, p.run.begun
		}
		r.Programs[p.Name] = w
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := write(c.file(g.name), text, sync); err != nil {
		return &compute.Error{Op: "supervise.record", ID: compute.ID(g.name), Kind: compute.ErrUnavailable, Err: err}
	}
	g.dirty = false
	return nil
}

// flush records the wanted state durably, also over a loss of power; "": that of all changed
// groups.
func (c *core) flush(name string) error {
	for _, g := range c.groups {
		if g.dirty && (name == "" || g.name == name) {
			if err := c.note(g, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// save records the processes. A loss of power ends them, so it need not outlast that.
func (c *core) save() {
	for _, g := range c.groups {
		if g.dirty {
			if err := c.note(g, false); err != nil {
				c.o.Log.Error("the state of programs cannot be recorded", "group", g.name, "err", err)
				return
			}
		}
	}
}

// forget removes a group's record.
func (c *core) forget(name string) error {
	if err := os.Remove(c.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// adopt reads the records, takes over what runs, and starts what should.
func (c *core) adopt() error {
	files, err := filepath.Glob(filepath.Join(c.o.Dir, "*"+suffix))
	if err != nil {
		return err
	}
	boot, err := proc.BootID()
	if err != nil {
		return err
	}
	known := map[string]*program{}
	old := map[*program]recordedProgram{}
	rebooted := map[*group]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var r record
		if err := json.Unmarshal(text, &r); err != nil || r.Group.check() != nil || r.Group.Name+suffix != filepath.Base(file) {
			c.o.Log.Error("a record cannot be read, and is set aside", "file", file, "err", err)
			if err := os.Rename(file, file+".broken"); err != nil {
				return err
			}
			continue
		}
		g := &group{name: r.Group.Name, gone: r.Gone, dirty: true}
		c.groups[g.name] = g
		rebooted[g] = r.Boot != "" && r.Boot != boot
		for _, one := range r.Group.Programs {
			w := r.Programs[one.Name]
			p := &program{Program: one, g: g, want: w.Want, state: w.State, since: w.Since, exit: w.Exit, err: w.Error, starts: w.Starts}
			g.progs = append(g.progs, p)
			known[p.fullName()], old[p] = p, w
			if w.Proc.PID != 0 {
				c.adoptProcess(p, w.Proc, w.Begun)
			}
		}
	}
	if err := c.processes.marked(func(pid int, name, begun string) { c.adoptMarked(known, pid, name, begun) }); err != nil {
		return err
	}
	for _, g := range c.sorted() {
		for _, p := range g.progs {
			c.resume(p, old[p], rebooted[g])
		}
		c.forgetDropped(g)
	}
	c.removeStrays()
	return nil
}

// adoptProcess goes on with a process of a program, if it still runs.
func (c *core) adoptProcess(p *program, of proc.Process, begun time.Time) {
	if alive, err := of.Alive(); err != nil || !alive {
		return
	}
	fd, err := unix.PidfdOpen(of.PID, 0)
	if err != nil {
		return
	}
	if now, err := proc.Identify(of.PID); err != nil || now != of {
		_ = unix.Close(fd)
		return
	}
	st, err := proc.ReadStat(of.PID)
	r := &run{p: p, proc: of, fd: fd, child: err == nil && st.Parent == os.Getpid(), begun: begun}
	if err := c.processes.watch(r); err != nil {
		c.o.Log.Error("a process cannot be taken over", "program", p.fullName(), "pid", of.PID, "err", err)
		return
	}
	c.o.Log.Info("a process is taken over", "program", p.fullName(), "pid", of.PID)
}

// adoptMarked handles each process with a mark of ours. If it leads its process group and was not
// recorded, it is its program's all the same.
func (c *core) adoptMarked(known map[string]*program, pid int, name, begun string) {
	p := known[name]
	st, err := proc.ReadStat(pid)
	if p == nil || p.run != nil || err != nil || st.Ended() || st.Group != pid || !c.processes.runsAs(p, pid) {
		return
	}
	of, err := proc.Identify(pid)
	nanos, bad := strconv.ParseInt(begun, 36, 64)
	if err != nil || bad != nil {
		return
	}
	c.adoptProcess(p, of, time.Unix(0, nanos))
}

// resume brings a program to its wanted state. After a restart of the machine a wanted program runs
// again, whether it had ended before or not.
func (c *core) resume(p *program, w recordedProgram, rebooted bool) {
	switch {
	case p.run != nil && p.want && w.State != Stopping:
		if p.state != Running {
			p.set(Running)
		}
	case p.run != nil:
		p.set(Stopping)
		p.kill = time.Now().Add(p.stopWait())
		p.again = p.want
		c.processes.signal(p, unix.SIGTERM)
	case !p.want || p.g.gone:
		if p.state != Exited {
			p.set(Stopped)
		}
	case p.Keep == Again || rebooted:
		if w.State == Running {
			p.exit = "unknown"
		}
		c.start(p)
	case w.State == Running || w.State == Stopping:
		p.exit = "unknown"
		p.set(Exited)
		c.events = append(
			c.events,
			Event{Time: time.Now(), Group: p.g.name, Name: p.Name, State: Exited, Exit: p.exit, Weight: p.Keep == Watched},
		)
	case w.State == Stopped: // it was to be started, and was not
		c.start(p)
	}
}
