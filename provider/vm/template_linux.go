package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/instancedirs"
	"github.com/hostler-project/hostler/provider/vm/qcow"
	"github.com/hostler-project/hostler/provider/vm/qemu"
	"github.com/hostler-project/hostler/provider/vm/qmp"
)

// savedVersion is part of what a saved machine depends on: it grows with each change of the guest's
// side or of the command line.
const savedVersion = 4

// saved is a booted machine that instances are copies of.
type saved struct {
	name string // of its directory: the key, and a word that no other has
	dir  string
}

func (s saved) file(name string) string { return filepath.Join(s.dir, name) }

// done is what is written last into a saved machine's directory.
type done struct {
	State extent `json:"state"`
	RAM   extent `json:"ram"`
	Disk  extent `json:"disk"`
}

// extent is a file's size and times. It shows a file that was cut short, and memory that a guest
// with control of its qemu has written to: qemu must open it for writing, though it maps it
// privately. But only the file's owner can tell when it was changed last.
type extent struct {
	Size    int64 `json:"size"` // bytes
	Changed int64 `json:"changed"`
}

// whole reports whether all its files are there and unchanged.
func (s saved) whole() bool {
	var d done
	b, err := os.ReadFile(s.file("done"))
	return err == nil && json.Unmarshal(b, &d) == nil && d == s.extents() && d.State.Size > 0
}

func (s saved) extents() (d done) {
	for name, n := range map[string]*extent{"state": &d.State, "ram": &d.RAM, "disk.qcow2": &d.Disk} {
		if fi, err := os.Stat(s.file(name)); err == nil {
			*n = extent{fi.Size(), fi.ModTime().UnixNano()}
		}
	}
	return d
}

// key is a digest of all that a saved machine depends on.
func (p *templates) key(q qemu.Program, own *instanceRecord) (string, error) {
	agent, err := p.p.launcher.agent()
	if err != nil {
		return "", err
	}
	return digest(savedVersion, own.Image, own.Kernel, own.Initrd, p.p.o.Seed, agent.path, q.Path, "\x00", q.Version, p.p.o.Append, own.Cores, own.Memory, own.Disk, own.Accel,
		p.p.o.Machine, p.p.o.Network, p.p.o.Ready, q.Sandbox, p.p.o.Installation, p.p.o.Source)
}

// template returns the saved machine for an instance, and makes it if there is none. Only one
// process makes it at a time.
func (p *templates) template(ctx context.Context, q qemu.Program, own *instanceRecord, below qcow.Disk) (saved, error) {
	key, err := p.key(q, own)
	if err != nil {
		return saved{}, err
	}
	if s, ok := p.find(key); ok {
		return s, p.p.images.keepImage(ctx, own.Digest, s.dir)
	}
	all := filepath.Join(p.p.o.Dir, "templates")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return saved{}, err
	}
	l, err := os.OpenFile(filepath.Join(all, key+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return saved{}, err
	}
	defer l.Close()
	if err := instancedirs.Flock(ctx, l); err != nil {
		return saved{}, err
	}
	if s, ok := p.find(key); ok {
		return s, p.p.images.keepImage(ctx, own.Digest, s.dir)
	}
	name := key + "-" + newUUID()[:8]
	s := saved{name, filepath.Join(all, name)}
	mark := p.p.mark(compute.ID("saved/" + key))
	// left by a process that was killed while it made one
	if err := errors.Join(strays(ctx, mark), p.p.ungroup(ctx, mark)); err != nil {
		return s, err
	}
	if err := p.p.at("template"); err != nil {
		return s, err
	}
	dir, err := os.MkdirTemp(p.p.o.Dir, "new-saved-*")
	if err != nil {
		return s, err
	}
	held, err := os.Open(dir) // so that no process takes it for a dead one's
	if err != nil {
		return s, err
	}
	defer held.Close()
	if err := instancedirs.Flock(ctx, held); err != nil {
		return s, err
	}
	err = p.save(ctx, q, own, below, saved{name, dir}, mark)
	if err == nil {
		if err = p.p.at("saved"); err == nil {
			err = os.Rename(dir, s.dir)
		}
	}
	if p.died(err) {
		return s, err
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return s, err
	}
	p.stale(name)
	return s, p.p.images.keepImage(ctx, own.Digest, s.dir)
}

// find looks for a complete saved machine.
func (p *templates) find(key string) (saved, bool) {
	all := filepath.Join(p.p.o.Dir, "templates")
	entries, _ := os.ReadDir(all)
	for _, e := range entries {
		if s := (saved{e.Name(), filepath.Join(all, e.Name())}); strings.HasPrefix(s.name, key+"-") && s.whole() {
			return s, true
		}
	}
	return saved{}, false
}

// save boots a machine and saves it into a directory.
func (p *templates) save(ctx context.Context, q qemu.Program, own *instanceRecord, below qcow.Disk, s saved, mark string) error {
	began := time.Now()
	if err := qcow.Overlay(s.file("disk.qcow2"), own.Image, below, own.Disk); err != nil {
		return err
	}
	first := *own
	first.ID, first.UUID, first.Ports, first.Template = "hostler", newUUID(), nil, ""
	disk, err := p.p.launcher.seed(&first, s.dir)
	if err != nil {
		return err
	}
	if err := disk.Write(s.file("seed.iso")); err != nil {
		return err
	}
	m := machine{
		name: first.ID, uuid: first.UUID, own: &first, memory: s.file("ram"), shared: true, seed: s.file("seed.iso"),
		sandbox: q.Sandbox,
	}
	if m.boot, err = p.p.launcher.bootFiles(own); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("ram"), nil, 0o600); err != nil {
		return err
	}
	// each qemu has a user of its own, and nobody else gets to the directory
	if err := os.Chmod(s.file("ram"), 0o666); err != nil {
		return err
	}
	run, err := p.p.launcher.run(ctx, q, s.dir, mark, m)
	if err != nil {
		return err
	}
	defer func() {
		if run.PID != 0 {
			ctx := context.WithoutCancel(ctx)
			_ = errors.Join(run.Kill(ctx), p.p.ungroup(ctx, mark))
		}
	}()
	if err := p.p.at("template booting"); err != nil {
		if p.died(err) {
			run = proc.Process{} // an ended process needs no kill
		}
		return err
	}
	if err := p.awaitReady(ctx, run, s.dir); err != nil {
		return err
	}
	rest(ctx, run.PID) // processes still starting would go on starting in each copy
	if err := p.p.at("template booted"); err != nil {
		if p.died(err) {
			run = proc.Process{}
		}
		return err
	}
	if err := qmp.Save(ctx, s.dir, s.file("state")); err != nil {
		return fmt.Errorf("save the machine: %w", err)
	}
	if err := errors.Join(run.Kill(ctx), p.p.ungroup(ctx, mark)); err != nil {
		return err
	}
	for _, name := range []string{"ram", "state", "disk.qcow2"} {
		f, err := os.Open(s.file(name))
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return err
		}
	}
	b, err := json.Marshal(s.extents())
	if err != nil {
		return err
	}
	p.p.log.Info(
		"a machine was booted and saved, for others to be copies of", "source", p.p.o.Source, "took",
		time.Since(began).Round(time.Millisecond),
	)
	return os.WriteFile(s.file("done"), b, 0o600)
}

// bootPatience is how long a machine to be saved may boot: a machine that hangs would keep all
// others waiting for ever.
const bootPatience = 10 * time.Minute

// awaitReady waits until the machine in dir is ready, and has written everything to its disk.
func (p *templates) awaitReady(ctx context.Context, run proc.Process, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(pause*5/4, 200*time.Millisecond) {
		if ok, err := run.Alive(); err != nil {
			return err
		} else if !ok {
			b, _ := tail(filepath.Join(dir, "console.log"))
			return &compute.Error{
				Op: "vm.Create", Kind: compute.ErrFailed,
				Err: fmt.Errorf("the machine to be saved ended while it booted; it said last: %s", lastLines(b)),
			}
		}
		err := p.p.entrance.probe(ctx, dir, true)
		if err == nil {
			return nil
		}
		if !errors.Is(err, compute.ErrNotReady) {
			return err
		}
		select {
		case <-ctx.Done():
			b, _ := tail(filepath.Join(dir, "console.log"))
			err := fmt.Errorf("%w before the machine to be saved was ready; it said last: %s", ctx.Err(), lastLines(b))
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return &compute.Error{
					Op: "vm.Create", ID: compute.ID(p.p.o.Source), Kind: compute.ErrTimeout, Err: err,
					Hint: "look whether the image boots without warm = yes, and what ready asks for",
				}
			}
			return err
		case <-time.After(pause):
		}
	}
}

// lastLines is the end of a console's output, on one line.
func lastLines(b []byte) string {
	s := strings.Join(strings.Fields(string(b)), " ")
	return s[max(0, len(s)-300):]
}

// upWarm starts an instance as a copy of a saved machine. A damaged saved machine is made anew,
// once.
func (p *templates) upWarm(ctx context.Context, q qemu.Program, own *instanceRecord, below qcow.Disk) error {
	for try := 1; ; try++ {
		s, err := p.template(ctx, q, own, below)
		if err != nil {
			return err
		}
		err = p.restore(ctx, q, own, s)
		if err == nil || try == 2 || ctx.Err() != nil || p.died(err) || taken(err) || instancedirs.Full(err) {
			return err
		}
		p.p.log.Warn("a saved machine cannot be restored, and is made anew", "source", p.p.o.Source, "instance", own.ID, "err", err)
		// it stays for the machines that are copies of it already
		if err := os.Remove(s.file("done")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}

// restore starts an instance's qemu on copies of a saved machine's files and state.
func (p *templates) restore(ctx context.Context, q qemu.Program, own *instanceRecord, s saved) (err error) {
	id := compute.ID(own.ID)
	home := p.p.home(id)
	own.Template = s.name
	// from now on the saved machine is kept for it
	if err := p.p.record(own, starting); err != nil {
		return err
	}
	if err := p.p.at("disk"); err != nil {
		return err
	}
	below := qcow.Disk{Format: "qcow2", Size: own.Disk}
	if err := qcow.Overlay(filepath.Join(home, "disk.qcow2"), s.file("disk.qcow2"), below, own.Disk); err != nil {
		return err
	}
	if own.Ports, own.SSH, err = p.p.launcher.forwards(ctx); err != nil {
		return err
	}
	m := machine{name: own.ID, uuid: own.UUID, own: own, memory: s.file("ram"), restore: true, seed: s.file("seed.iso"), sandbox: q.Sandbox}
	if m.boot, err = p.p.launcher.bootFiles(own); err != nil {
		return err
	}
	if err := p.p.launcher.start(ctx, q, own, m); err != nil {
		return err
	}
	if err := qmp.Restore(ctx, home, s.file("state")); err != nil {
		_ = own.Process.Kill(context.WithoutCancel(ctx))
		own.Process = proc.Process{}
		words, _ := os.ReadFile(filepath.Join(home, "qemu.log"))
		return fmt.Errorf("restore: %w %s", err, lastLines(words))
	}
	if err := p.p.at("restored"); err != nil {
		return err
	}
	return p.p.record(own, restored)
}

// stale deletes this source's saved machines of which no instance is a copy and none will be.
func (p *templates) stale(current string) {
	used := map[string]bool{current: true}
	instances, _ := os.ReadDir(filepath.Join(p.p.o.Dir, "instances"))
	for _, e := range instances {
		if own, err := p.p.homes.Look(e.Name()); err == nil {
			used[own.Template] = true
		}
	}
	all := filepath.Join(p.p.o.Dir, "templates")
	entries, _ := os.ReadDir(all)
	for _, e := range entries {
		if e.IsDir() && !used[e.Name()] {
			_, _ = p.p.homes.Throw(filepath.Join(all, e.Name()))
		}
	}
}

// died reports whether an error is that of a test's simulated kill, after which nothing is cleaned
// up.
func (p *templates) died(err error) bool { return p.p.step != nil && errors.Is(err, errKilled) }

// errKilled is what a test's step returns to end a call as a kill would.
var errKilled = errors.New("killed")
