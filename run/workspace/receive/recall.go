package receive

import (
	"errors"
	"io"
	"os"
)

// mostKnown is of how many entries a list is kept in memory between two sessions.
const mostKnown = 20_000

// know keeps a list for the next session, which is mostly about the same workspace.
func (c *Conn) know(l *list) {
	if len(l.records) > mostKnown {
		l = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = l
}

// recall is readList, by what is in memory where the file still is what that was written as or read
// from.
func (v *session) recall() (*list, error) {
	v.c.mu.Lock()
	last := v.c.last
	v.c.last = nil // it is ours, or nobody's
	v.c.mu.Unlock()
	if last == nil {
		return readList(v.meta)
	}
	next, err := nextFiles(v.meta)
	if err != nil {
		return nil, err
	}
	if len(next) > 0 || !last.isIn(v.meta) {
		return readList(v.meta)
	}
	return last, nil
}

// isIn reports whether the file has a list's hash at its end.
func (l *list) isIn(meta *os.Root) bool {
	f, err := meta.Open(listFile)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	end, err := f.Seek(-sumSize, io.SeekEnd)
	var sum [sumSize]byte
	if err != nil || end < 0 {
		return false
	}
	if _, err := io.ReadFull(f, sum[:]); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	return sum == l.sum && sum != [sumSize]byte{}
}
