package send

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

const stateMagic = "hostler sync 1\n"

// readState reads the workspace's list after the last sync: its ID at once, and the list when load
// is called. An unreadable file counts as missing. The other side notices if it is wrong.
func readState(name string) (id workspace.Sum, load func() ([]scan.Entry, bool)) {
	none := func() ([]scan.Entry, bool) { return nil, false }
	if name == "" {
		return id, none
	}
	f, err := os.Open(name)
	if err != nil {
		return id, none
	}
	head := make([]byte, len(stateMagic)+len(id))
	if _, err := io.ReadFull(f, head); err != nil || string(head[:len(stateMagic)]) != stateMagic {
		_ = f.Close()
		return id, none
	}
	_ = f.Close()
	copy(id[:], head[len(stateMagic):])
	return id, func() ([]scan.Entry, bool) {
		f, err := os.Open(name)
		if err != nil {
			return nil, false
		}
		defer func() { _ = f.Close() }()
		r := bufio.NewReaderSize(f, 64<<10)
		again := make([]byte, len(head))
		// another run has replaced it meanwhile
		if _, err := io.ReadFull(r, again); err != nil || !bytes.Equal(head, again) {
			return nil, false
		}
		entries, err := scan.Decode(r, scan.Limits{})
		return entries, err == nil
	}
}

// Last returns the workspace's list after the last sync, from the file that Options.State names. ok
// is false if there is none.
func Last(state string) (entries []scan.Entry, ok bool) {
	_, load := readState(state)
	return load()
}

// stale is the unused time after which remembered lists are removed.
const stale = 30 * 24 * time.Hour

// remember stores the workspace's list for the next run. If that fails, the next run only takes one
// more round trip.
func (s *Session) remember(msg *workspace.Tree, t *scan.Tree) {
	if s.opt.State == "" || s.opt.Own || msg.Form == workspace.Same {
		return
	}
	dir := filepath.Dir(s.opt.State)
	if os.MkdirAll(dir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return
	}
	w := bufio.NewWriterSize(f, 64<<10)
	_, _ = w.WriteString(stateMagic) // Flush reports errors
	_, _ = w.Write(t.ID[:])
	err = scan.Encode(w, t.Entries)
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.opt.State)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return
	}
	prune(dir, time.Now().Add(-stale))
}

// prune removes files that were written before a time.
func prune(dir string, before time.Time) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range all {
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && fi.ModTime().Before(before) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// difference returns what to put into a list and what to remove from it, to make another list of
// it. Both are sorted.
func difference(from, to []scan.Entry) (put []scan.Entry, removed []string) {
	i := 0
	for j := range to {
		e := &to[j]
		for i < len(from) && from[i].Path < e.Path {
			removed = append(removed, from[i].Path)
			i++
		}
		if i < len(from) && from[i].Path == e.Path {
			if i++; from[i-1] == *e {
				continue
			}
		}
		put = append(put, *e)
	}
	for ; i < len(from); i++ {
		removed = append(removed, from[i].Path)
	}
	return put, removed
}
