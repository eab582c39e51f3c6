package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// session is one conversation about one workspace.
type session struct {
	c    *Conn
	s    *workspaceState
	ctx  context.Context
	r    *workspace.Reader
	w    *workspace.Writer
	ask  *workspace.Announce
	key  string
	base *os.Root // the directory of all workspaces
	meta *os.Root // the records about this one
	lock *os.File
	tree int // the workspace itself, open; -1: not opened yet
	made bool
	have *list
	all  bool // all files of have are as the last sync left them
	got  contents

	owner *owner // whose the workspace is
}

// own is the directory, beside the workspaces, of the records about them.
const own = ".hostler"

func fault(kind error, format string, a ...any) error {
	return &compute.Error{Op: "workspace", Kind: kind, Err: fmt.Errorf(format, a...)}
}

// talk conducts a conversation. An error goes to the other side, and to the commands that wait.
func (c *Conn) talk(s *workspaceState, conn net.Conn) {
	v := &session{c: c, s: s, ctx: s.over, r: workspace.NewReader(conn), w: workspace.NewWriter(conn, nil), tree: -1}
	defer v.close()
	err := v.serve()
	if err == nil {
		return
	}
	s.setResult("", err)
	_ = v.w.Failed(err)
	_, _ = io.Copy(io.Discard, v.r) // until the other side has read it
}

// serve brings the workspace up to date, and returns when the other side gives it back.
func (v *session) serve() error {
	if err := v.readAnnounce(); err != nil {
		return err
	}
	if err := v.enter(); err != nil {
		return v.diskHint(err)
	}
	ready, err := v.update()
	if err != nil {
		return v.diskHint(err)
	}
	v.s.tree, v.s.key, v.s.owner = v.tree, v.key, v.owner
	v.s.setResult(ready.Dir, nil)
	if err := v.w.Ready(ready); err != nil {
		return nil // it has gone
	}
	_, _ = io.Copy(io.Discard, v.r)
	return nil
}

// diskHint adds a hint to the error of a disk that is full or read-only.
func (v *session) diskHint(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return &compute.Error{Op: "workspace", Kind: compute.ErrFailed,
			Err:  fmt.Errorf("the disk there is full, so the workspace is incomplete: %w", err),
			Hint: "make room there, or leave large files out by .hostlerignore; what has arrived is kept for the next run"}
	}
	if errors.Is(err, unix.EROFS) {
		return &compute.Error{Op: "workspace", Kind: compute.ErrFailed, Err: fmt.Errorf("the disk there takes no writes: %w", err),
			Hint: "copies of working trees are kept in " + v.dir() + " there: mount that so that it can be written to"}
	}
	return err
}

// readAnnounce reads the announcement.
func (v *session) readAnnounce() error {
	kind, err := v.r.Kind()
	if err != nil {
		return err
	}
	if kind != workspace.KindAnnounce {
		return fault(compute.ErrInvalid, "a conversation that begins with a message of kind %d", kind)
	}
	if v.ask, err = v.r.Announce(); err != nil {
		return err
	}
	if v.ask.Version != workspace.Version {
		return &compute.Error{Op: "workspace", Kind: compute.ErrConflict, Err: fmt.Errorf("this side speaks version "+
			"%d of workspaces, the other one version %d",
			workspace.Version, v.ask.Version), Hint: "use the same hostler on both sides"}
	}
	v.key = v.ask.Key
	if !properKey(v.key) {
		return fault(compute.ErrInvalid, "no workspace can be called %q", v.key)
	}
	return nil
}

func properKey(key string) bool {
	if key == "" || len(key) > 128 || key[0] == '.' {
		return false
	}
	return strings.IndexFunc(key, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) < 0
}

// enter opens the workspace once its lock is free.
func (v *session) enter() error {
	var err error
	if err = v.setOwner(); err != nil {
		return err
	}
	if v.base, err = v.c.openBase(v.dir()); err != nil {
		return err
	}
	for {
		if v.meta, err = openOwn(v.base, path.Join(own, v.key), 0o700); err != nil {
			return err
		}
		gone, err := v.lockWorkspace()
		if err != nil {
			return err
		}
		if !gone {
			break
		}
		v.leave() // it was removed while we waited
	}
	if v.key != v.ask.Key {
		if err := writeFile(v.meta, privateFile, nil); err != nil {
			return err
		}
	}
	if v.ask.Fresh {
		if err := v.empty(); err != nil {
			return err
		}
	}
	if v.have, err = v.cachedList(); err != nil {
		return err
	}
	if err := v.openTree(); err != nil {
		return err
	}
	return v.verify()
}

// openBase opens a directory of workspaces.
func (c *Conn) openBase(dir string) (*os.Root, error) {
	if c.opt.Root == "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		return os.OpenRoot(dir)
	}
	root, err := os.OpenRoot(c.opt.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	return openOwn(root, strings.TrimPrefix(path.Clean(dir), "/"), 0o755)
}

// openOwn opens a directory without following links, and makes it if it is missing.
func openOwn(root *os.Root, name string, mode os.FileMode) (*os.Root, error) {
	at := ""
	for _, part := range strings.Split(name, "/") {
		at = path.Join(at, part)
		fi, err := root.Lstat(at)
		if errors.Is(err, os.ErrNotExist) {
			if err = root.Mkdir(at, mode); err == nil || errors.Is(err, os.ErrExist) {
				fi, err = root.Lstat(at)
			}
		}
		if err != nil {
			return nil, err
		}
		if !fi.IsDir() {
			return nil, fault(compute.ErrFailed, "%s is no directory", path.Join(root.Name(), at))
		}
	}
	return root.OpenRoot(name)
}

// empty removes the contents of the workspace and its records.
func (v *session) empty() error {
	// marks an interruption
	if err := recordPending(v.meta, &list{id: scan.ID(nil)}); err != nil {
		return err
	}
	fd, closed, err := descriptor(v.base, ".")
	if err != nil {
		return err
	}
	defer closed()
	if err := removeAll(fd, v.key); err != nil {
		return err
	}
	if err := v.meta.Remove(listFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return errors.Join(clearPending(v.meta), v.meta.RemoveAll(stageDir))
}

// descriptor opens a directory and returns its file descriptor.
func descriptor(root *os.Root, name string) (fd int, done func(), err error) {
	f, err := root.Open(name)
	if err != nil {
		return -1, nil, err
	}
	return int(f.Fd()), func() { _ = f.Close() }, nil
}

// openTree opens the directory of the workspace, and makes it if it is missing.
func (v *session) openTree() error {
	fd, done, err := descriptor(v.base, ".")
	if err != nil {
		return err
	}
	defer done()
	d := dirs{top: fd, made: func(string) { v.made = true }, owner: v.owner}
	defer d.close()
	sub, err := d.open(v.key, true)
	if err != nil {
		return err
	}
	v.tree, err = unix.FcntlInt(uintptr(sub), unix.F_DUPFD_CLOEXEC, 0)
	return err
}

// leave releases the lock.
func (v *session) leave() {
	if v.lock != nil {
		_ = v.lock.Close()
	}
	if v.meta != nil {
		_ = v.meta.Close()
	}
	v.lock, v.meta = nil, nil
}

// close ends the session. It waits for the commands of the workspace, also for detached ones,
// before another session may have it.
func (v *session) close() {
	v.s.setResult("", errors.New("the workspace was given back"))
	v.c.mu.Lock()
	v.s.gone = true
	v.c.mu.Unlock()
	v.s.end()
	v.s.runs.Wait()
	if v.tree >= 0 {
		_ = unix.Close(v.tree)
	}
	if v.key != "" && v.ask != nil && v.key != v.ask.Key { // the session's own workspace
		v.drop()
	}
	v.touchLock()
	v.leave()
	v.prune()
	if v.base != nil {
		_ = v.base.Close()
	}
}

// drop removes the workspace.
func (v *session) drop() {
	if v.base == nil {
		return
	}
	fd, done, err := descriptor(v.base, ".")
	if err != nil {
		return
	}
	defer done()
	_ = removeAll(fd, v.key)
	// with the lock in it, which the session still holds
	_ = v.base.RemoveAll(path.Join(own, v.key))
}

const (
	soon = 5 * time.Millisecond
	late = 25 * time.Millisecond
)

// lockWorkspace waits for the lock. gone means that the workspace was removed meanwhile.
func (v *session) lockWorkspace() (gone bool, err error) {
	f, err := v.meta.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	v.lock = f
	told, began := "", time.Now()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return false, pathError("lock", v.key, err)
		}
		if v.ask.Own {
			return true, v.usePrivateWorkspace()
		}
		v.c.endDetached(v.key)
		if who := holder(f); who != told && who != "" {
			told = who
			if err := v.w.Waiting(who); err != nil {
				return false, err
			}
		}
		pause := soon
		if time.Since(began) > 20*late {
			pause = late
		}
		select {
		case <-v.ctx.Done():
			return false, v.ctx.Err()
		case <-time.After(pause):
		}
	}
	if !locks(v.base, v.key, f) {
		return true, nil
	}
	sign(f, v.ask.Who)
	return false, nil
}

// sign writes the holder into the lock file, for sessions that wait. It overwrites the old name
// with zeros because truncating a file may take long on some disks.
func sign(f *os.File, who string) {
	b := []byte(who[:min(len(who), mostWho)])
	if fi, err := f.Stat(); err == nil && fi.Size() > int64(len(b)) {
		b = append(b, make([]byte, min(fi.Size(), mostWho)-int64(len(b)))...)
	}
	_, _ = f.WriteAt(b, 0)
}

// mostWho bounds the bytes of a holder's name.
const mostWho = 1 << 10

// private gives the session a workspace of its own, which is removed at its end.
func (v *session) usePrivateWorkspace() error {
	for i := range 10000 {
		key := fmt.Sprintf("%s.%d", v.ask.Key, i+2)
		err := v.base.Mkdir(path.Join(own, key), 0o700)
		if err == nil {
			v.key = key
			return nil
		}
		if !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return fault(compute.ErrConflict, "too many run in workspaces of their own beside %s", v.ask.Key)
}

func holder(f *os.File) string {
	b := make([]byte, mostWho)
	n, _ := f.ReadAt(b, 0)
	who, _, _ := strings.Cut(string(b[:n]), "\x00")
	return who
}

// update makes the workspace equal to the tree of the other side.
func (v *session) update() (*workspace.Ready, error) {
	t, err := v.readMessages()
	if err != nil {
		return nil, err
	}
	// the usual case: nothing has changed
	if t != nil && t.Form == workspace.Same && v.all && !v.have.cut && v.have.id == t.ID && !v.ask.Clean {
		v.c.cacheList(v.have)
		v.got.close(v.meta)
		return &workspace.Ready{Dir: path.Join(v.dir(), v.key)}, nil
	}
	want, ok, err := v.wanted(t)
	if err != nil {
		return nil, err
	}
	if !ok {
		if err := v.w.NeedTree(); err != nil {
			return nil, err
		}
		if t, err = v.readMessages(); err != nil {
			return nil, err
		}
		if want, ok, err = v.wanted(t); err != nil || !ok {
			return nil, errors.Join(err, fault(compute.ErrInvalid, "the whole list was asked for, and did not come"))
		}
	}
	p, err := v.plan(want, t)
	if err != nil {
		return nil, err
	}
	if err := v.stageContents(p); err != nil {
		return nil, err
	}
	if err := v.commit(p); err != nil {
		return nil, err
	}
	return &workspace.Ready{Dir: path.Join(v.dir(), v.key), Written: len(p.writes), Removed: len(p.removes)}, nil
}

// readMessages reads messages until the other side waits for an answer. It returns the tree, if
// one came.
func (v *session) readMessages() (*workspace.Tree, error) {
	var t *workspace.Tree
	for {
		kind, err := v.r.Kind()
		if err != nil {
			return nil, unexpected(err)
		}
		switch kind {
		case workspace.KindTree:
			if t, err = v.r.Tree(); err != nil {
				return nil, err
			}
			for _, paths := range [][]string{t.Removed, t.Hidden} {
				for _, p := range paths {
					if err := scan.CheckPath(p); err != nil {
						return nil, err
					}
				}
			}
		case workspace.KindContent:
			if err := v.receive(); err != nil {
				return nil, err
			}
		case workspace.KindParts:
			if err := v.receiveParts(); err != nil {
				return nil, err
			}
		case workspace.KindGo:
			return t, nil
		default:
			return nil, fault(compute.ErrInvalid, "a message of kind %d", kind)
		}
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// wanted returns the whole list of entries that the workspace shall have. ok is false if the
// message does not suffice for that.
func (v *session) wanted(t *workspace.Tree) (want []scan.Entry, ok bool, err error) {
	if t == nil {
		return nil, false, fault(compute.ErrInvalid, "no tree was named")
	}
	switch t.Form {
	case workspace.Same:
		if v.have.cut || v.have.id != t.ID {
			return nil, false, nil
		}
		return v.have.entries(), true, nil
	case workspace.Changes:
		if v.have.cut || v.have.id != t.Base {
			return nil, false, nil
		}
		want = changed(v.have.records, t.Entries, t.Removed)
		return want, scan.ID(want) == t.ID, nil // the list that the changes rest on may be damaged
	default:
		want = t.Entries
	}
	if scan.ID(want) != t.ID {
		return nil, false, fault(compute.ErrInvalid, "a list of %d entries that is not the one it is said to be", len(want))
	}
	return want, true, nil
}

// changed returns a list with entries put in and others removed. All but removed are sorted.
func changed(have []record, put []scan.Entry, removed []string) []scan.Entry {
	out := make([]scan.Entry, 0, len(have)+len(put))
	gone := make(map[string]bool, len(removed))
	for _, p := range removed {
		gone[p] = true
	}
	i := 0
	for j := range have {
		e := &have[j].Entry
		for i < len(put) && put[i].Path < e.Path {
			out = append(out, put[i])
			i++
		}
		switch {
		case i < len(put) && put[i].Path == e.Path:
			out = append(out, put[i])
			i++
		case !gone[e.Path]:
			out = append(out, *e)
		}
	}
	return append(out, put[i:]...)
}
