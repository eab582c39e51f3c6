package receive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// look is the state of a file on disk after a sync wrote it. A later change by a command changes
// one of these fields.
type look struct {
	Size, MTime, CTime int64
	Inode              uint64
}

// record is an entry of the last list, with its state on disk.
type record struct {
	scan.Entry
	look look
	ok   bool // it is on disk as the sync wrote it
}

// sumSize is the length of the hash at the end of a list.
const sumSize = sha256.Size

// list names the files of a workspace: those of the last sync or, after an interrupted sync, all
// that may have been written.
type list struct {
	id      [32]byte      // of the entries; not valid when cut
	records []record      // sorted by path
	cut     bool          // the last sync was interrupted: nothing is certain
	sum     [sumSize]byte // at the end of its file; zero: it was not read from one
}

// find returns the record of a path, or nil.
func (l *list) find(path string) *record {
	lo, hi := 0, len(l.records)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.records[mid].Path < path {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(l.records) && l.records[lo].Path == path {
		return &l.records[lo]
	}
	return nil
}

// entries are the list's, as scan has them.
func (l *list) entries() []scan.Entry {
	out := make([]scan.Entry, len(l.records))
	for i := range l.records {
		out[i] = l.records[i].Entry
	}
	return out
}

const listMagic = "hostler workspace 1\n"

// The files in the record of a workspace.
const (
	listFile = "list" // what was written
	// and a number: what is being written of it, there only while it is, or after it was cut short;
	// after that twice, two of them
	nextFile = "next."
	lockFile = "lock"    // the lock, with the name of its holder
	listMost = 512 << 20 // bytes of either
)

// marshal encodes a list: its ID, the entries with their state on disk, and a hash of all, since a
// disk may lose a part.
func (l *list) marshal() ([]byte, error) {
	var b bytes.Buffer
	b.Grow(128 * len(l.records))
	b.WriteString(listMagic)
	b.Write(l.id[:])
	if err := scan.Encode(&b, l.entries()); err != nil {
		return nil, err
	}
	var n []byte
	for i := range l.records {
		k := &l.records[i].look
		n = binary.AppendVarint(n[:0], k.Size)
		n = binary.AppendVarint(n, k.MTime)
		n = binary.AppendVarint(n, k.CTime)
		n = binary.AppendUvarint(n, k.Inode)
		b.Write(n)
	}
	l.sum = sha256.Sum256(b.Bytes())
	b.Write(l.sum[:])
	return b.Bytes(), nil
}

var errList = errors.New("the list of a workspace is damaged")

// unmarshal reads a list and checks its sum. Whatever is wrong with it is errList.
func unmarshal(b []byte) (*list, error) {
	if len(b) < len(listMagic)+64 || !bytes.HasPrefix(b, []byte(listMagic)) {
		return nil, errList
	}
	body, sum := b[:len(b)-32], b[len(b)-32:]
	if sha256.Sum256(body) != [32]byte(sum) {
		return nil, errList
	}
	r := bytes.NewReader(body[len(listMagic):])
	l := &list{sum: [sumSize]byte(sum)}
	if _, err := io.ReadFull(r, l.id[:]); err != nil {
		return nil, errList
	}
	entries, err := scan.Decode(r, scan.Limits{Entries: 1 << 20})
	if err != nil {
		return nil, errors.Join(errList, err)
	}
	l.records = make([]record, len(entries))
	for i := range entries {
		rec := &l.records[i]
		rec.Entry = entries[i]
		k := &rec.look
		for _, p := range [...]*int64{&k.Size, &k.MTime, &k.CTime} {
			if *p, err = binary.ReadVarint(r); err != nil {
				return nil, errList
			}
		}
		if k.Inode, err = binary.ReadUvarint(r); err != nil {
			return nil, errList
		}
	}
	if r.Len() != 0 {
		return nil, errList
	}
	return l, nil
}

// readList reads the list of a workspace. A damaged list counts as an empty one of an interrupted
// sync.
func readList(meta *os.Root) (*list, error) {
	var out *list
	cut := false
	next, err := nextFiles(meta)
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{listFile}, next...) {
		b, err := readBounded(meta, name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		cut = cut || name != listFile
		l, err := unmarshal(b)
		if err != nil {
			cut = true
			continue
		}
		if out == nil {
			out = l
		} else {
			out = union(out, l)
		}
	}
	if out == nil {
		out = &list{id: scan.ID(nil)}
	}
	out.cut = cut
	return out, nil
}

// nextFiles returns the names of the lists of interrupted syncs.
func nextFiles(meta *os.Root) ([]string, error) {
	f, err := meta.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	all, err := f.Readdirnames(-1)
	out := slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, nextFile) || strings.HasSuffix(name, ".new") })
	slices.Sort(out)
	return out, err
}

// clearPending removes these lists: the state of the workspace is known again.
func clearPending(meta *os.Root) error {
	next, err := nextFiles(meta)
	for _, name := range next {
		if rerr := meta.Remove(name); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

func readBounded(dir *os.Root, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, listMost))
}

// union returns the records of both lists. Of a path in both it takes the later record.
func union(a, b *list) *list {
	out := &list{}
	i, j := 0, 0
	for i < len(a.records) || j < len(b.records) {
		switch {
		case j == len(b.records):
			out.records = append(out.records, a.records[i])
			i++
		case i == len(a.records):
			out.records = append(out.records, b.records[j])
			j++
		default:
			switch strings.Compare(a.records[i].Path, b.records[j].Path) {
			case -1:
				out.records = append(out.records, a.records[i])
				i++
			case 1:
				out.records = append(out.records, b.records[j])
				j++
			default:
				out.records = append(out.records, b.records[j])
				i++
				j++
			}
		}
	}
	return out
}

// writeFile writes a file of a record, whole or not at all.
func writeFile(meta *os.Root, name string, b []byte) error {
	f, err := meta.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = meta.Remove(name + ".new")
		return err
	}
	return meta.Rename(name+".new", name)
}

// lookAt returns the state and the attributes of a name in an open directory.
func lookAt(fd int, base string) (look, *unix.Stat_t, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.EINTR {
			continue
		}
		return lookOf(&st), &st, err
	}
}

// kindOf returns the kind, or 0 for one that is not synced, such as a socket.
func kindOf(st *unix.Stat_t) scan.Kind {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return scan.File
	case unix.S_IFLNK:
		return scan.Link
	case unix.S_IFDIR:
		return scan.Dir
	}
	return 0
}

func lookOf(st *unix.Stat_t) look {
	return look{Size: st.Size, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(), Inode: st.Ino}
}

// recordPending records the entries that the commit may write, until clearPending.
func recordPending(meta *os.Root, l *list) error {
	b, err := l.marshal()
	if err != nil {
		return err
	}
	next, err := nextFiles(meta)
	if err != nil {
		return err
	}
	n := 0
	if len(next) > 0 {
		if n, err = strconv.Atoi(strings.TrimPrefix(next[len(next)-1], nextFile)); err != nil {
			n = len(next)
		}
	}
	return writeFile(meta, fmt.Sprintf("%s%06d", nextFile, n+1), b)
}
