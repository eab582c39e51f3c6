package receive

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/run/workspace"
)

// The default limits of the workspaces that are kept.
const (
	mostCopies = 50
	mostBytes  = 50 << 30
	mostIdle   = 30 * 24 * time.Hour
)

const (
	// in own: the lock of the pruner. Its time is that of the last run
	pruneFile   = ".tidied"
	pruneEvery  = time.Hour // the next run, if no session makes a workspace earlier
	gonePlace   = ".gone-"  // the prefix of what is being removed
	sizeFile    = "size"    // in a record: the bytes of the workspace after its last use
	privateFile = "alone"   // in a record: the workspace belongs to one run
	maxDepth    = 2000      // nested directories that are counted
	blockSize   = 512       // bytes of a block in stat
)

// copied is a workspace as the pruner sees it.
type copied struct {
	key     string
	used    time.Time // the last time
	private bool
}

// pruner removes workspaces that nobody uses, at the end of a session.
type pruner struct {
	base   *os.Root // the directory of all workspaces
	key    string   // the session's own, which stays
	limits workspace.Limits
	fault  func(step string) error
}

// prune removes workspaces that nobody uses, at most once in pruneEvery unless the session made
// one.
func (v *session) prune() {
	if v.base == nil || v.have == nil {
		return
	}
	lock, err := v.base.OpenFile(path.Join(own, pruneFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer func() { _ = lock.Close() }()
	if fi, err := lock.Stat(); err != nil || !v.made && time.Since(fi.ModTime()).Abs() < pruneEvery {
		return
	}
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return // another process does it
	}
	now := time.Now()
	_ = v.base.Chtimes(path.Join(own, pruneFile), now, now)
	t := pruner{v.base, v.key, v.ask.Limits, v.c.fault}
	t.run(now)
}

// run removes the workspaces that single runs left behind and those that were unused for too long.
// Then it removes those whose last use is longest ago, until their number and size keep the limits.
// The session's own workspace stays, and so does each in which a command runs.
func (t *pruner) run(now time.Time) {
	all := t.copies()
	keep := all[:0]
	for _, c := range all {
		old := now.Sub(c.used) > cmp.Or(t.limits.Idle, mostIdle)
		if c.key != t.key && (c.private || old || len(keep) >= cmp.Or(t.limits.Copies, mostCopies)) && t.forget(c) {
			continue
		}
		keep = append(keep, c)
	}
	if len(keep) < 2 {
		return // what is left is the session's
	}
	var total int64
	for _, c := range keep {
		total += t.size(c)
		if c.key != t.key && total > cmp.Or(t.limits.Bytes, mostBytes) {
			t.forget(c)
		}
	}
}

// copies returns the workspaces: the session's own first, then the last used ones first. It
// finishes the removals of an interrupted run.
func (t *pruner) copies() []copied {
	f, err := t.base.Open(own)
	if err != nil {
		return nil
	}
	names, _ := f.Readdirnames(-1)
	_ = f.Close()
	var all []copied
	for _, name := range names {
		if strings.HasPrefix(name, gonePlace) {
			_ = t.removeBelow(own, name)
			continue
		}
		if !properKey(name) {
			continue
		}
		c := copied{key: name, used: t.lastUse(name)}
		_, err := t.base.Lstat(path.Join(own, name, privateFile))
		c.private = err == nil
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b copied) int {
		if a.key == t.key || b.key == t.key {
			return map[bool]int{true: -1, false: 1}[a.key == t.key]
		}
		return cmp.Or(b.used.Compare(a.used), cmp.Compare(a.key, b.key))
	})
	return all
}

// lastUse returns when a workspace was last taken or given back: the time of its lock.
func (t *pruner) lastUse(key string) time.Time {
	fi, err := t.base.Lstat(path.Join(own, key, lockFile))
	if err != nil {
		if fi, err = t.base.Lstat(path.Join(own, key)); err != nil {
			return time.Time{}
		}
	}
	return fi.ModTime()
}

// forget removes a workspace, unless a session has it or has used it meanwhile. It renames the
// workspace first, so a session that comes during the removal begins with a new one.
func (t *pruner) forget(c copied) bool {
	if t.fault("forget") != nil {
		return false
	}
	meta, err := t.base.OpenRoot(path.Join(own, c.key))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer func() { _ = meta.Close() }()
	used := t.lastUse(c.key)
	lock, err := meta.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	defer func() { _ = lock.Close() }()
	if !used.Equal(c.used) || unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !locks(t.base, c.key, lock) {
		return false
	}
	bin := gonePlace + rand.Text()
	if t.base.Mkdir(path.Join(own, bin), 0o700) != nil {
		return false
	}
	defer func() { _ = t.removeBelow(own, bin) }() // the next run removes the rest
	err = t.base.Rename(c.key, path.Join(own, bin, "tree"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		// a command has made it so that it cannot be moved
		if err = t.removeBelow(".", c.key); err != nil {
			return false
		}
	}
	return t.base.Rename(path.Join(own, c.key), path.Join(own, bin, "meta")) == nil
}

// locks reports whether an open file is still the lock of a workspace, not that of a removed one.
func locks(base *os.Root, key string, lock *os.File) bool {
	here, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := base.Lstat(path.Join(own, key, lockFile))
	return err == nil && os.SameFile(here, there)
}

// removeBelow removes a tree in a directory of the base.
func (t *pruner) removeBelow(dir, name string) error {
	fd, done, err := descriptor(t.base, dir)
	if err != nil {
		return err
	}
	defer done()
	return removeAll(fd, name)
}

// size returns the bytes of a workspace on disk, as counted after its last use, or counts them now.
func (t *pruner) size(c copied) int64 {
	name := path.Join(own, c.key, sizeFile)
	if fi, err := t.base.Lstat(name); err == nil && !fi.ModTime().Before(c.used) {
		if f, err := t.base.Open(name); err == nil {
			text, _ := io.ReadAll(io.LimitReader(f, 32))
			_ = f.Close()
			if n, err := strconv.ParseInt(string(text), 10, 64); err == nil && n >= 0 {
				return n
			}
		}
	}
	var n int64
	for _, dir := range []string{c.key, path.Join(own, c.key)} {
		if fd, done, err := descriptor(t.base, dir); err == nil {
			n += diskUsage(fd, 0)
			done()
		}
	}
	// for the next run
	if f, err := t.base.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
		_, _ = f.WriteString(strconv.FormatInt(n, 10))
		_ = f.Close()
	}
	return n
}

// diskUsage counts the bytes in an open directory, and follows no link.
func diskUsage(fd, depth int) (n int64) {
	all, err := names(fd)
	if err != nil || depth > maxDepth {
		return 0
	}
	for _, name := range all {
		_, st, err := lookAt(fd, name)
		if err != nil {
			continue
		}
		if n += st.Blocks * blockSize; st.Blocks == 0 {
			n += st.Size // the file system has not allocated it yet
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		if sub, err := openAt(fd, name, openDir); err == nil {
			n += diskUsage(sub, depth+1)
			_ = unix.Close(sub)
		}
	}
	return n
}

// touchLock records that the workspace was in use until now.
func (v *session) touchLock() {
	if v.meta != nil && v.lock != nil {
		now := time.Now()
		_ = v.meta.Chtimes(lockFile, now, now)
	}
}
