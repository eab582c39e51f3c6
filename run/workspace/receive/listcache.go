package receive

import (
	"errors"
	"io"
	"os"
)

// maxCached bounds the entries of a list that stays in memory between two sessions.
const maxCached = 20_000

// cacheList keeps a list for the next session, which is mostly about the same workspace.
func (c *Conn) cacheList(l *list) {
	if len(l.records) > maxCached {
		l = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = l
}

// cachedList is readList, but returns the list in memory if the file still holds that one.
func (v *session) cachedList() (*list, error) {
	v.c.mu.Lock()
	last := v.c.last
	v.c.last = nil // only this session may have it
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

// isIn reports whether the file ends with the hash of the list.
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
