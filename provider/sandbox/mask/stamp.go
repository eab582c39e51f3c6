//go:build linux

package mask

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Mask is a layer and the rules that it was made of.
type Mask struct {
	Layer string            // the directory that goes over the host's root
	Rules []Rule            // sorted by path
	Shown []Shown           // sorted by path
	Links map[string]string // on the way to what is shown, with where they lead
}

// Open returns a mask that hides nothing of a directory.
func Open(dir string) Mask {
	return Mask{Shown: []Shown{{dir, true}}}
}

// Shows reports whether a path of the host is visible: it lies in a shown place, and nothing hides
// it there.
func (m *Mask) Shows(p string) bool {
	for p := path.Clean(p); ; p = path.Dir(p) {
		if slices.ContainsFunc(m.Shown, func(s Shown) bool { return s.Path == p }) {
			return true
		}
		i, ok := slices.BinarySearchFunc(m.Rules, p, func(r Rule, p string) int { return strings.Compare(r.Path, p) })
		if ok && m.Rules[i].Kind != Apart || p == "/" || p == "." {
			return false
		}
	}
}

// settled is how long a directory must be unchanged before its times can show the next change: two
// changes within one tick of the kernel's clock look like one.
const settled = 50 * time.Millisecond

// Make returns the mask for o, with its layer below dir. A small file beside the layers records the
// directories that the rules rest on. If none has changed, Make costs one lstat for each of them.
// Else it finds the rules again and builds the layer.
func Make(ctx context.Context, dir string, o Options) (Mask, error) {
	if err := own(dir); err != nil {
		return Mask{}, err
	}
	stamp := filepath.Join(dir, "stamp-"+o.key())
	if m, ok := known(stamp, dir, newWalker(rootOf(o))); ok {
		return m, nil
	}
	now := time.Now()
	f, err := find(o)
	if err != nil {
		return Mask{}, err
	}
	layer, err := build(ctx, dir, rootOf(o), f.rules)
	if err != nil {
		return Mask{}, err
	}
	m := Mask{Layer: layer, Rules: f.rules, Shown: f.shown, Links: f.links}
	for _, s := range f.signs {
		if s.newest() > now.Add(-settled).UnixNano() {
			return m, nil // too fresh to rely on
		}
	}
	// A full disk or an unwritten stamp costs time, nothing else.
	_ = writeStamp(stamp, filepath.Base(filepath.Dir(layer)), &m, f.signs)
	return m, nil
}

func rootOf(o Options) string {
	if o.Root == "" {
		return "/"
	}
	return o.Root
}

// key names the options.
func (o *Options) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s%q %d %q %q %q %q %q %q %q", format, o.Home, o.UID, o.Root, o.State, o.Fresh, o.Extra, o.Show, o.Tree, o.mounts())
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// dirSign is the state of a directory: while it is the same, nothing in it was made, removed or
// renamed.
type dirSign struct {
	path         string
	there        bool
	dev, ino     uint64
	mode         uint32
	uid, gid     uint32
	mtime, ctime int64 // nanoseconds
	size         int64 // not a part of the stamp
}

// signSize is the size of a dirSign in the stamp, without its path.
const signSize = 1 + 8 + 8 + 4 + 4 + 4 + 8 + 8

func sign(dir string) (dirSign, error) {
	var st unix.Stat_t
	if err := lstat(dir, &st); err != nil {
		return dirSign{}, err
	}
	return dirSign{"", true, st.Dev, st.Ino, st.Mode, st.Uid, st.Gid, st.Mtim.Nano(), st.Ctim.Nano(), st.Size}, nil
}

func (s *dirSign) newest() int64 { return max(s.mtime, s.ctime) }

// append adds the stamp's form of the directory: signSize bytes, big-endian, without path and
// size.
func (s *dirSign) append(b []byte) []byte {
	there := byte(0)
	if s.there {
		there = 1
	}
	b = append(b, there)
	b = binary.BigEndian.AppendUint64(b, s.dev)
	b = binary.BigEndian.AppendUint64(b, s.ino)
	b = binary.BigEndian.AppendUint32(b, s.mode)
	b = binary.BigEndian.AppendUint32(b, s.uid)
	b = binary.BigEndian.AppendUint32(b, s.gid)
	b = binary.BigEndian.AppendUint64(b, uint64(s.mtime))
	return binary.BigEndian.AppendUint64(b, uint64(s.ctime))
}

// writeStamp replaces a stamp as a whole: the digest, the rules, the directories, and a sum over it
// all, each string with a 0 after it.
func writeStamp(stamp, digest string, m *Mask, signs []dirSign) error {
	b := append([]byte(digest), 0)
	str := func(s string) { b = append(append(b, s...), 0) }
	count := func(n int) { b = binary.BigEndian.AppendUint32(b, uint32(n)) }
	count(len(m.Rules))
	for _, r := range m.Rules {
		b = append(b, byte(r.Kind))
		str(r.Path)
	}
	count(len(m.Shown))
	for _, s := range m.Shown {
		asked := byte(0)
		if s.Asked {
			asked = 1
		}
		b = append(b, asked)
		str(s.Path)
	}
	count(len(m.Links))
	for from, to := range m.Links {
		str(from)
		str(to)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(signs)))
	for _, s := range signs {
		b = append(append(b, s.path...), 0)
		b = s.append(b)
	}
	sum := sha256.Sum256(b)
	f, err := os.CreateTemp(filepath.Dir(stamp), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, sum[:]...))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), stamp)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// known reads a stamp and returns its mask if nothing has changed since.
func known(stamp, dir string, w *walker) (Mask, bool) {
	text, err := readStamp(stamp)
	if err != nil || len(text) < sha256.Size {
		return Mask{}, false
	}
	body := text[:len(text)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], text[len(body):]) {
		return Mask{}, false
	}
	r := reader{body}
	digest := r.str()
	m := Mask{Layer: filepath.Join(dir, digest, "root"), Rules: make([]Rule, r.count())}
	for i := range m.Rules {
		m.Rules[i].Kind = Kind(r.bytes(1)[0])
		m.Rules[i].Path = r.str()
	}
	m.Shown, m.Links = make([]Shown, r.count()), map[string]string{}
	for i := range m.Shown {
		m.Shown[i].Asked = r.bytes(1)[0] == 1
		m.Shown[i].Path = r.str()
	}
	for range r.count() {
		from := r.str()
		m.Links[from] = r.str()
	}
	var buf [signSize]byte
	for range r.count() {
		at := w.real(r.str())
		now, _ := sign(at)
		if !bytes.Equal(now.append(buf[:0]), r.bytes(signSize)) {
			return Mask{}, false
		}
	}
	return m, use(filepath.Join(dir, digest)) == nil
}

// maxStamp is how much of a stamp is read.
const maxStamp = 64 << 20

func readStamp(stamp string) ([]byte, error) {
	f, err := os.OpenFile(stamp, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxStamp))
}

// reader parses a stamp. Its sum was right, so writeStamp wrote it.
type reader struct{ rest []byte }

func (r *reader) str() string {
	i := bytes.IndexByte(r.rest, 0)
	s := string(r.rest[:i])
	r.rest = r.rest[i+1:]
	return s
}

func (r *reader) bytes(n int) []byte {
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) count() int { return int(binary.BigEndian.Uint32(r.bytes(4))) }
