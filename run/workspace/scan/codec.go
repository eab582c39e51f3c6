package scan

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// header begins every list and names the version of the format.
const header = "hostler tree 1\n"

// Limits bound a list that Decode reads. A zero field means its default.
type Limits struct {
	Entries int   // default 1,000,000
	Bytes   int64 // of paths and targets together, decoded; default 256 MiB
}

// errLimit is the cause of Decode's error about a list beyond the limits.
var errLimit = errors.New("over the limit")

// Encode writes a list of entries. They must be valid and in order, as in a Tree. Otherwise it
// returns an error, and the caller must discard what was written.
func Encode(w io.Writer, entries []Entry) error {
	buf := append(make([]byte, 0, 16<<10), header...)
	var order orderChecker
	for i := range entries {
		e := &entries[i]
		if err := order.add(entries[:i], e); err != nil {
			return err
		}
		shared := 0
		if i > 0 {
			shared = sharedPrefix(entries[i-1].Path, e.Path)
		}
		buf = append(buf, byte(e.Kind))
		buf = binary.AppendUvarint(buf, uint64(shared))
		buf = binary.AppendUvarint(buf, uint64(len(e.Path)-shared))
		buf = append(buf, e.Path[shared:]...)
		buf = appendRest(buf, e)
		if len(buf) > 12<<10 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(append(buf, 0))
	return err
}

// Decode reads a list that Encode wrote, to its end. If r is an io.ByteReader, it reads no byte
// further; other readers are buffered. It refuses everything that Encode would not write, and a
// list beyond the limits (ErrLimit) as soon as it sees that. It takes memory as the list arrives.
func Decode(r io.Reader, limits Limits) ([]Entry, error) {
	if limits.Entries <= 0 {
		limits.Entries = 1_000_000
	}
	if limits.Bytes <= 0 {
		limits.Bytes = 256 << 20
	}
	in, ok := r.(byteReader)
	if !ok {
		in = bufio.NewReader(r)
	}
	d := decoder{in: in, left: limits.Bytes}
	if err := d.header(); err != nil {
		return nil, err
	}
	var entries []Entry
	var order orderChecker
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return nil, cut(err)
		}
		if kind == 0 {
			return entries, nil
		}
		if len(entries) == limits.Entries {
			return nil, fmt.Errorf("a tree of more than %d entries: %w", limits.Entries, errLimit)
		}
		before := ""
		if n := len(entries); n > 0 {
			before = entries[n-1].Path
		}
		e, err := d.entry(Kind(kind), before)
		if err != nil {
			return nil, fmt.Errorf("entry %d of a tree: %w", len(entries)+1, err)
		}
		if err := order.add(entries, &e); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
}

type byteReader interface {
	io.Reader
	io.ByteReader
}

// decoder reads one list.
type decoder struct {
	in   byteReader
	left int64 // bytes of paths and targets that may still follow
	buf  [MaxPath]byte
}

func (d *decoder) header() error {
	got := d.buf[:len(header)]
	if _, err := io.ReadFull(d.in, got); err != nil {
		return cut(err)
	}
	if string(got) != header {
		return fmt.Errorf("not a tree, or one of another version: it begins with %q", got)
	}
	return nil
}

// entry reads an entry. Its path begins with as much of the path before it as the two share.
func (d *decoder) entry(kind Kind, before string) (Entry, error) {
	e := Entry{Kind: kind}
	shared, err := d.number(uint64(len(before)))
	if err != nil {
		return e, err
	}
	suffix, err := d.text(MaxPath-int(shared), int64(shared))
	if err != nil {
		return e, err
	}
	e.Path = before[:shared] + suffix
	switch kind {
	case Link:
		e.Target, err = d.text(MaxPath, 0)
		return e, err
	case Dir:
		mode, err := d.number(0o777)
		e.Mode = uint32(mode)
		return e, err
	case File:
		return e, d.file(&e)
	}
	return e, fmt.Errorf("no kind %d", kind)
}

// file reads the fields of a file's entry after its path.
func (d *decoder) file(e *Entry) error {
	mode, err := d.number(0o777)
	if err != nil {
		return err
	}
	size, err := d.number(1<<63 - 1)
	if err != nil {
		return err
	}
	if e.ModTime, err = binary.ReadVarint(d.in); err != nil {
		return cut(err)
	}
	e.Mode, e.Size = uint32(mode), int64(size)
	_, err = io.ReadFull(d.in, e.Sum[:])
	return cut(err)
}

// number reads an unsigned number of at most this size.
func (d *decoder) number(most uint64) (uint64, error) {
	n, err := binary.ReadUvarint(d.in)
	if err != nil {
		return 0, cut(err)
	}
	if n > most {
		return 0, fmt.Errorf("%d where at most %d can stand", n, most)
	}
	return n, nil
}

// text reads a length and so many bytes. more counts toward the limits too: bytes that are copied
// from the last path.
func (d *decoder) text(most int, more int64) (string, error) {
	n, err := d.number(uint64(most))
	if err != nil {
		return "", err
	}
	if d.left -= int64(n) + more; d.left < 0 {
		return "", fmt.Errorf("paths and links longer than allowed together: %w", errLimit)
	}
	if _, err := io.ReadFull(d.in, d.buf[:n]); err != nil {
		return "", cut(err)
	}
	return string(d.buf[:n]), nil
}

// cut names an end within a list as such.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// orderChecker checks a list entry by entry. Each must be valid, follow the one before, and not lie
// below a file or link.
type orderChecker struct {
	parent string // the last parent that was looked up
}

// add checks that e may follow the entries before it.
func (o *orderChecker) add(before []Entry, e *Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if n := len(before); n > 0 && before[n-1].Path >= e.Path {
		return fmt.Errorf("%q after %q: not in order, or twice", e.Path, before[n-1].Path)
	}
	parent, _, _ := cutLast(e.Path)
	if parent == o.parent {
		return nil
	}
	o.parent = parent
	for above, ok := parent, parent != ""; ok; above, _, ok = cutLast(above) {
		i, found := slices.BinarySearchFunc(before, above, func(e Entry, p string) int { return strings.Compare(e.Path, p) })
		if found && before[i].Kind != Dir {
			return fmt.Errorf("%q is a %s, and %q is below it", above, before[i].Kind, e.Path)
		}
	}
	return nil
}

// cutLast splits off the last part of a path.
func cutLast(path string) (parent, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// sharedPrefix returns the length of the common beginning.
func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
