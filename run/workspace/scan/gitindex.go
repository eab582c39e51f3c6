package scan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tracked is a path of git's index.
type tracked struct {
	path   string
	module bool // a submodule
	hidden bool // not wanted on disk: sparse checkout, skip-worktree

	mtime  int64    // of the file when it was added, in nanoseconds; 0: unknown
	size   uint32   // the low bits of its size; also 0 if git was unsure
	blob   [20]byte // the object id of its contents
	merged bool     // it has no conflict
	runs   bool     // it is executable
}

// errOtherForm says that only git can read this index.
var errOtherForm = errors.New("an index of a form that is left to git")

// readIndex reads the tracked paths from the index of a git directory, in order and each once. A
// missing index is an empty one.
func readIndex(gitDir string) ([]tracked, os.FileInfo, error) {
	if otherHash(gitDir) {
		return nil, nil, errOtherForm
	}
	f, err := os.Open(filepath.Join(gitDir, "index"))
	if os.IsNotExist(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	data := make([]byte, 0, info.Size()+512)
	buf := bytes.NewBuffer(data)
	if _, err := buf.ReadFrom(f); err != nil {
		return nil, nil, err
	}
	list, err := parseIndex(buf.Bytes())
	return list, info, err
}

// otherHash reports whether a repository may use another hash than SHA-1.
func otherHash(gitDir string) bool {
	common := gitDir
	if text, err := os.ReadFile(filepath.Join(gitDir, "commondir")); err == nil {
		common = strings.TrimSpace(string(text))
		if !filepath.IsAbs(common) {
			common = filepath.Join(gitDir, common)
		}
	}
	text, err := os.ReadFile(filepath.Join(common, "config"))
	return err != nil || bytes.Contains(bytes.ToLower(text), []byte("objectformat"))
}

// The layout of an index, as in gitformat-index(5).
const (
	indexHead    = 12 // "DIRC", version, number of entries
	indexSum     = 20 // at the end
	entryStats   = 40 // times, device, inode, mode, owner, size
	entryTime    = 8  // the offset of the modification time in it
	entryMode    = 24 // of the mode
	entrySize    = 36 // of the size
	flagStage    = 0x3000
	flagExtended = 0x4000
	flagName     = 0x0fff
	flagSkip     = 0x4000 // in the second flags
	modeType     = 0o170000
	modeModule   = 0o160000
	modeSparse   = 0o040000 // a directory that stands for all below it
)

// parseIndex reads an index of the versions 2 to 4.
func parseIndex(b []byte) ([]tracked, error) {
	if len(b) < indexHead+indexSum || string(b[:4]) != "DIRC" {
		return nil, fmt.Errorf("not an index of git")
	}
	version, count := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	if version < 2 || version > 4 {
		return nil, errOtherForm
	}
	rest := b[indexHead : len(b)-indexSum]
	list := make([]tracked, 0, min(int(count), len(rest)/62+1))
	path := []byte{}
	for range count {
		var t tracked
		var mode uint32
		var err error
		if rest, path, mode, err = parseEntry(rest, path, version, &t); err != nil {
			return nil, err
		}
		if mode&modeType == modeSparse {
			return nil, errOtherForm
		}
		t.module = mode&modeType == modeModule
		if n := len(list); n > 0 && list[n-1].path == string(path) { // unmerged: one for each side
			list[n-1].hidden, list[n-1].merged = list[n-1].hidden && t.hidden, false
			continue
		}
		t.path = string(path)
		list = append(list, t)
	}
	for len(rest) >= 8 {
		size := uint64(binary.BigEndian.Uint32(rest[4:]))
		// an extension that is needed to understand the index: split, sparse
		if rest[0] < 'A' || rest[0] > 'Z' {
			return nil, errOtherForm
		}
		if 8+size > uint64(len(rest)) {
			break
		}
		rest = rest[8+size:]
	}
	return list, nil
}

// parseEntry reads one entry. path is that of the last entry, and is overwritten.
func parseEntry(b, path []byte, version uint32, t *tracked) (rest, name []byte, mode uint32, err error) {
	short := errors.New("an index that is cut short")
	at := entryStats + indexSum
	if len(b) < at+2 {
		return nil, nil, 0, short
	}
	mode = binary.BigEndian.Uint32(b[entryMode:])
	flags := binary.BigEndian.Uint16(b[at:])
	t.mtime = int64(binary.BigEndian.Uint32(b[entryTime:]))*1e9 + int64(binary.BigEndian.Uint32(b[entryTime+4:]))
	t.size, t.merged = binary.BigEndian.Uint32(b[entrySize:]), flags&flagStage == 0
	t.runs = mode&0o111 != 0
	copy(t.blob[:], b[entryStats:])
	at += 2
	if flags&flagExtended != 0 {
		if len(b) < at+2 {
			return nil, nil, 0, short
		}
		t.hidden = binary.BigEndian.Uint16(b[at:])&flagSkip != 0
		at += 2
	}
	if version == 4 {
		drop, n := prefixDrop(b[at:])
		end := -1
		if n > 0 {
			end = bytes.IndexByte(b[at+n:], 0)
		}
		if end < 0 || drop > len(path) {
			return nil, nil, 0, short
		}
		path = append(path[:len(path)-drop], b[at+n:at+n+end]...)
		return b[at+n+end+1:], path, mode, nil
	}
	end := bytes.IndexByte(b[at:], 0)
	if end < 0 || flags&flagName != flagName && int(flags&flagName) != end {
		return nil, nil, 0, short
	}
	path = append(path[:0], b[at:at+end]...)
	size := (at + end + 8) &^ 7 // NULs, at least one, up to a multiple of 8
	if size > len(b) {
		return nil, nil, 0, short
	}
	return b[size:], path, mode, nil
}

// prefixDrop reads a number in the encoding of offset deltas in packs. n is its length, or 0 on an
// error.
func prefixDrop(b []byte) (value, n int) {
	for i, c := range b {
		if i > 0 {
			value++
		}
		value = value<<7 | int(c&0x7f)
		if c&0x80 == 0 {
			return value, i + 1
		}
		if i == 4 {
			break
		}
	}
	return 0, 0
}
