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

// The memory of a tree is a file in the user's cache with the attributes of each file when it was
// hashed. Without it, or if it is broken, all files are hashed. A file counts as unchanged if all
// its attributes are the same. It must also not have been written shortly before it was read, since
// the clock's grain could hide a second write.

const (
	memoryForm = "hostler scan 1\n" // the first bytes: the version of the format
	memoryLast = 4                  // CRC-32C of everything before
	racy       = 2 * time.Second    // a file must be this old to be trusted
	memoryAge  = 30 * 24 * time.Hour
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cachedHash has what is remembered of a file.
type cachedHash struct {
	path string
	id   identity
	sum  [32]byte
}

// hashCacheFile returns the file that has the hashes of a root.
func hashCacheFile(dir, root string) string {
	sum := sha256.Sum256([]byte(root))
	return filepath.Join(dir, hex.EncodeToString(sum[:16]))
}

// readHashCache reads the hashes of a root, sorted by path. It returns nothing if the
// file has any error.
func readHashCache(file, root string) []cachedHash {
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

// parseMemory reads the cache that was written for root. Any fault, such as a wrong sum or
// order, is errMemory.
func parseMemory(data []byte, root string) ([]cachedHash, error) {
	end := len(data) - memoryLast
	if end < len(memoryForm) || string(data[:len(memoryForm)]) != memoryForm ||
		binary.BigEndian.Uint32(data[end:]) != crc32.Checksum(data[:end], castagnoli) {
		return nil, errMemory
	}
	m := hashCacheReader{data: data[:end], text: string(data[:end]), at: len(memoryForm)}
	if m.string() != root {
		return nil, errMemory
	}
	list := make([]cachedHash, 0, min(m.number(), uint64(end/40)))
	for m.at < end && !m.bad {
		k := cachedHash{
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

// hashCacheReader reads the format. It is bad after the first error.
type hashCacheReader struct {
	data []byte
	text string // the same bytes
	at   int
	bad  bool
}

func (m *hashCacheReader) number() uint64 {
	v, n := binary.Uvarint(m.data[m.at:])
	m.bad = m.bad || n <= 0
	m.at += max(n, 0)
	return v
}

func (m *hashCacheReader) signed() int64 {
	v, n := binary.Varint(m.data[m.at:])
	m.bad = m.bad || n <= 0
	m.at += max(n, 0)
	return v
}

func (m *hashCacheReader) string() string {
	n := m.number()
	if n > uint64(len(m.text)-m.at) {
		m.bad = true
		return ""
	}
	s := m.text[m.at : m.at+int(n)]
	m.at += int(n)
	return s
}

// writeHashCache writes the hashes of the files that were last written long enough before the
// scan began.
func writeHashCache(file, root string, sights []foundPath, began time.Time) error {
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

// settled reports whether a file was old enough when the scan began.
func settled(id *identity, began time.Time) bool {
	return max(id.mtime, id.ctime) < began.Add(-racy).UnixNano()
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// replace replaces a file as a whole. It does not sync: a file that a crash has damaged is not
// trusted.
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

// forget removes memories that were unused for long, and leftovers of processes that ended while
// writing one.
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
