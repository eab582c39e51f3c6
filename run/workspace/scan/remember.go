package scan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The memory of a tree is a file in the user's cache that says of each file what it was when it was
// hashed. It is never needed: without it, or with one that is broken, all is hashed. A file is
// taken as known if all that the kernel says of it is as it was, and if it had not been written
// shortly before it was read: a second write within the grain of the clock would not show.

const (
	memoryForm = "hostler scan 1\n" // the first bytes, and the version of the form
	memoryLast = 4                  // CRC-32C of all before
	racy       = 2 * time.Second    // so old has to be what is believed
	memoryAge  = 30 * 24 * time.Hour
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// known is what is remembered of a file.
type known struct {
	path string
	id   identity
	sum  [32]byte
}

// memoryFile is where a root's memory is.
func memoryFile(dir, root string) string {
	sum := sha256.Sum256([]byte(root))
	return filepath.Join(dir, hex.EncodeToString(sum[:16]))
}

// recall reads what is remembered of a root, sorted by path. Whatever is wrong with the file,
// nothing is remembered.
func recall(file, root string) []known {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	list, err := parseMemory(data, root)
	if err != nil {
		return nil
	}
	return list
}

var errMemory = errors.New("not what is remembered of this tree")

func parseMemory(data []byte, root string) ([]known, error) {
	end := len(data) - memoryLast
	if end < len(memoryForm) || string(data[:len(memoryForm)]) != memoryForm ||
		binary.BigEndian.Uint32(data[end:]) != crc32.Checksum(data[:end], castagnoli) {
		return nil, errMemory
	}
	m := memory{data: data[:end], text: string(data[:end]), at: len(memoryForm)}
	if m.string() != root {
		return nil, errMemory
	}
	list := make([]known, 0, min(m.number(), uint64(end/40)))
	for m.at < end && !m.bad {
		k := known{
			path: m.string(),
			id:   identity{size: int64(m.number()), mtime: m.signed(), ctime: m.signed(), ino: m.number(), mode: uint32(m.number())},
		}
		if m.at += copy(k.sum[:], m.data[m.at:]); m.at > end || len(list) > 0 && list[len(list)-1].path >= k.path {
			m.bad = true
		}
		list = append(list, k)
	}
	if m.bad {
		return nil, errMemory
	}
	return list, nil
}

// memory reads the form; after the first thing that cannot be read it is bad.
type memory struct {
	data []byte
	text string // the same bytes
	at   int
	bad  bool
}

func (m *memory) number() uint64 {
	v, n := binary.Uvarint(m.data[m.at:])
	m.bad = m.bad || n <= 0
	m.at += max(n, 0)
	return v
}

func (m *memory) signed() int64 {
	v, n := binary.Varint(m.data[m.at:])
	m.bad = m.bad || n <= 0
	m.at += max(n, 0)
	return v
}

func (m *memory) string() string {
	n := m.number()
	if n > uint64(len(m.text)-m.at) {
		m.bad = true
		return ""
	}
	s := m.text[m.at : m.at+int(n)]
	m.at += int(n)
	return s
}

// remember writes what can be believed of the files: by a time before the scan began, all had been
// written.
func remember(file, root string, sights []sight, began time.Time) error {
	list := make([]byte, 0, 128*len(sights)+256)
	list = append(list, memoryForm...)
	list = appendString(list, root)
	list = binary.AppendUvarint(list, uint64(len(sights)))
	for i := range sights {
		t := &sights[i]
		if t.what != lookFile || !settled(&t.id, began) {
			continue
		}
		list = appendString(list, t.Path)
		list = binary.AppendUvarint(list, uint64(t.id.size))
		list = binary.AppendVarint(list, t.id.mtime)
		list = binary.AppendVarint(list, t.id.ctime)
		list = binary.AppendUvarint(list, t.id.ino)
		list = binary.AppendUvarint(list, uint64(t.id.mode))
		list = append(list, t.Sum[:]...)
	}
	list = binary.BigEndian.AppendUint32(list, crc32.Checksum(list, castagnoli))
	return replace(file, list)
}

// settled reports whether a file had been left alone for long enough when the scan began.
func settled(id *identity, began time.Time) bool {
	return max(id.mtime, id.ctime) < began.Add(-racy).UnixNano()
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// replace puts a file in the place of another at once. It is not synced: what a crash makes of it
// is not believed.
func replace(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// forget removes memories that nobody has used for long, and what a process left that ended while
// it wrote one.
func forget(dir string, now time.Time) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if age := now.Sub(info.ModTime()); age > memoryAge || strings.Contains(e.Name(), ".") && age > time.Hour {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
