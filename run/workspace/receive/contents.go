package receive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

const (
	smallest = 64 << 10 // contents up to this size stay in memory, while there is room
	roomy    = 16 << 20 // bytes of all contents in memory
	// among the records of a workspace: received contents, by their hash, and files that are not in
	// place yet
	stageDir = "stage"
)

// contents are the received ones, in memory or staged. The mutex serves commit, which runs in
// several goroutines.
type contents struct {
	stage  *os.Root // nil: not opened yet
	memory map[workspace.Sum][]byte
	bytes  int // in memory
	staged map[workspace.Sum]bool
	basis  map[workspace.Sum]*basis // of contents that were asked for in parts

	mu   sync.Mutex
	uses map[workspace.Sum]int // places of a plan that still want staged contents
	temp int
}

// open opens the stage, with the contents that an interrupted sync left there.
func (g *contents) open(meta *os.Root) error {
	if g.stage != nil {
		return nil
	}
	var err error
	if g.stage, err = openOwn(meta, stageDir, 0o700); err != nil {
		return err
	}
	g.memory, g.staged, g.uses = make(map[workspace.Sum][]byte), make(map[workspace.Sum]bool), make(map[workspace.Sum]int)
	f, err := g.stage.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	all, err := f.Readdirnames(-1)
	for _, name := range all {
		var sum workspace.Sum
		if n, err := hex.Decode(sum[:], []byte(name)); len(name) == 64 && err == nil && n == 32 {
			g.staged[sum] = true
		} else {
			_ = g.stage.Remove(name) // an incomplete file
		}
	}
	return err
}

// close removes the stage.
func (g *contents) close(meta *os.Root) {
	if g.stage == nil {
		return
	}
	_ = g.stage.Close()
	_ = meta.RemoveAll(stageDir)
	*g = contents{}
}

var errSum = fault(compute.ErrInvalid, "contents that are not what they are said to be")

// receive reads announced contents.
func (v *session) receive() error {
	sum, size, err := v.r.Content()
	if err != nil {
		return err
	}
	if err := v.got.open(v.meta); err != nil {
		return err
	}
	g := &v.got
	if size <= smallest && g.bytes+int(size) <= roomy {
		b := make([]byte, size)
		if _, err := io.ReadFull(v.r, b); err != nil {
			return unexpected(err)
		}
		if sha256.Sum256(b) != sum {
			return errSum
		}
		if g.memory[sum] == nil {
			g.bytes += len(b)
		}
		g.memory[sum] = b
		return nil
	}
	return v.got.store(sum, size, v.r)
}

// store stages size bytes of r, if their hash is sum.
func (g *contents) store(sum workspace.Sum, size int64, r io.Reader) error {
	f, name, err := g.create()
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	err = errors.Join(err, f.Close())
	if err == nil && workspace.Sum(h.Sum(nil)) != sum {
		err = errSum
	}
	if err == nil {
		err = g.stage.Rename(name, hex.EncodeToString(sum[:]))
	}
	if err != nil {
		_ = g.stage.Remove(name)
		return err
	}
	g.staged[sum] = true
	return nil
}

// create makes a file in the stage.
func (g *contents) create() (*os.File, string, error) {
	for {
		name := g.name()
		f, err := g.stage.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, os.ErrExist) {
			return f, name, err
		}
	}
}

func (g *contents) name() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.temp++
	return "new-" + hex.EncodeToString([]byte{byte(g.temp >> 24), byte(g.temp >> 16), byte(g.temp >> 8), byte(g.temp)})
}

var nothing = sha256.Sum256(nil)

func (g *contents) has(sum workspace.Sum) bool { return g.memory[sum] != nil || g.staged[sum] }

// stageContents stages all contents that a plan writes: from earlier messages, from this
// workspace and those beside it, and the rest from the other side.
func (v *session) stageContents(p *plan) error {
	need := make(map[workspace.Sum]int64)
	for _, i := range p.writes {
		if e := &p.want[i]; e.Kind == scan.File && e.Sum != nothing {
			need[e.Sum] = e.Size
		}
	}
	if len(p.writes) == 0 {
		return nil
	}
	if err := v.got.open(v.meta); err != nil {
		return err
	}
	for sum := range need {
		if v.got.has(sum) {
			delete(need, sum)
		}
	}
	if len(need) > 0 {
		if err := v.borrow(v.tree, v.have, need); err != nil {
			return err
		}
	}
	if len(need) > 0 {
		if err := v.neighbours(need); err != nil {
			return err
		}
	}
	if len(need) == 0 {
		return nil
	}
	if err := v.c.fault("want"); err != nil {
		return err
	}
	if err := v.fetch(p, need); err != nil {
		return err
	}
	return v.c.fault("got")
}

// fetch asks the other side for contents.
func (v *session) fetch(p *plan, need map[workspace.Sum]int64) error {
	parts, err := v.askParts(p, need)
	v.got.basis = parts
	defer func() {
		for _, b := range parts {
			b.close()
		}
		v.got.basis = nil
	}()
	if err = errors.Join(err, v.c.fault("asked")); err != nil {
		return err
	}
	for len(need)+len(parts) > 0 {
		var sums []workspace.Sum
		for _, i := range p.writes { // in the order of their paths
			if _, ok := need[p.want[i].Sum]; ok {
				sums = append(sums, p.want[i].Sum)
				delete(need, p.want[i].Sum)
			}
		}
		if err := v.w.Want(sums); err != nil {
			return err
		}
		if _, err := v.readMessages(); err != nil {
			return err
		}
		for _, sum := range sums {
			if !v.got.has(sum) {
				return fault(compute.ErrInvalid, "contents were asked for and did not come")
			}
		}
		for sum, b := range parts {
			if !v.got.has(sum) {
				need[sum] = b.size
			}
			b.close()
			delete(parts, sum)
		}
	}
	return nil
}

// borrow copies contents from files of a workspace that still match its list.
func (v *session) borrow(tree int, l *list, need map[workspace.Sum]int64) error {
	d := dirs{top: tree}
	defer d.close()
	for i := range l.records {
		rec := &l.records[i]
		size, ok := need[rec.Sum]
		if !ok || rec.Kind != scan.File || rec.Size != size {
			continue
		}
		fd, base, err := d.parent(rec.Path)
		if err != nil {
			continue
		}
		f, err := openFile(fd, base)
		if err != nil {
			continue
		}
		err = v.got.store(rec.Sum, size, f)
		_ = f.Close()
		if err == nil {
			delete(need, rec.Sum)
		} else if !errors.Is(err, errSum) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
	}
	return nil
}

// neighbours looks for contents in the other workspaces.
func (v *session) neighbours(need map[workspace.Sum]int64) error {
	f, err := v.base.Open(own)
	if err != nil {
		return err
	}
	all, err := f.Readdirnames(64) // read at most so many lists
	_ = f.Close()
	if err != nil && err != io.EOF {
		return err
	}
	for _, key := range all {
		if key == v.key || !properKey(key) || len(need) == 0 {
			continue
		}
		meta, err := v.base.OpenRoot(path.Join(own, key))
		if err != nil {
			continue
		}
		l, err := readList(meta)
		_ = meta.Close()
		if err != nil || len(l.records) == 0 {
			continue
		}
		fd, done, err := descriptor(v.base, ".")
		if err != nil {
			return err
		}
		tree, err := openAt(fd, key, openDir)
		done()
		if err != nil {
			continue
		}
		err = v.borrow(tree, l, need)
		_ = unix.Close(tree)
		if err != nil {
			return err
		}
	}
	return nil
}

// fault lets a test fail a step.
func (c *Conn) fault(step string) error {
	if c.opt.Fault == nil {
		return nil
	}
	return c.opt.Fault(step)
}
