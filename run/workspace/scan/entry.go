package scan

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// A Kind is the kind of an Entry.
type Kind uint8

// The kinds. Their numbers are part of the format.
const (
	File Kind = 1 // a regular file
	Link Kind = 2 // a symbolic link, which is never followed
	Dir  Kind = 3 // an empty directory: nothing below it implies it
)

func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Link:
		return "link"
	case Dir:
		return "directory"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// An Entry is one thing that belongs in a workspace. Fields that its kind does not have are zero.
type Entry struct {
	Path string // bytes, relative to the root, with slashes; see CheckPath
	Kind Kind   //
	// permissions: of files 0644 or 0755, or all of 0777 if modes are kept; likewise of directories
	Mode    uint32
	Size    int64    // of a file, in bytes
	ModTime int64    // of a file, in nanoseconds since 1970
	Sum     [32]byte // of a file: the SHA-256 of its contents
	Target  string   // what a link says, as it says it; else ""
}

// A Tree has the contents of a workspace, and what the scan noticed on the way.
type Tree struct {
	Root string // the directory that was scanned, absolute
	// the caller's directory below Root, with slashes; "" for Root itself or a directory outside it
	Sub     string
	Git     bool     // git says what belongs to it
	Entries []Entry  // sorted by the bytes of Path, each path once
	ID      [32]byte // ID(Entries)
	// paths that git tracks but does not put on disk, as in a sparse checkout; they stay as they
	// are on the other side
	Hidden  []string
	Special []string // sockets, fifos and devices, which are left out
	Outside []string // links that are absolute or lead out of the tree; sent as they are
	Changed Changed  // whether git trees differ from git's index
	// a warning of the guards about the amount to read and send, or ""
	Warning string
	Bytes   int64 // of all files

	// the directory with the contents of paths below ".git"; "" if there are none
	Repository string
}

// AddRepository adds to a tree the result of Repository in dir. The directory must stay as long as
// contents are to be read.
func (t *Tree) AddRepository(ctx context.Context, how History, dir string) error {
	made, err := Repository(ctx, t, how, dir)
	if err == nil {
		err = t.Add(made)
	}
	if err == nil {
		t.Repository = dir
	}
	return err
}

// Place returns where the contents of a path of the tree are: a directory and a name in it.
func (t *Tree) Place(path string) (dir, name string) {
	if rest, ok := strings.CutPrefix(path, ".git/"); ok && t.Repository != "" {
		return t.Repository, rest
	}
	return t.Root, path
}

// Add adds entries to a tree, such as those of Repository. A path that the tree has already is an
// error.
func (t *Tree) Add(more []Entry) error {
	all := slices.Concat(t.Entries, more)
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	var order orderChecker
	var sum int64
	for i := range all {
		if err := order.add(all[:i], &all[i]); err != nil {
			return err
		}
		sum += all[i].Size
	}
	t.Entries, t.Bytes, t.ID = all, sum, ID(all)
	return nil
}

// The limits of paths and links are those of Linux.
const (
	MaxPath = 4095 // bytes
	maxName = 255  // bytes of one part of a path
)

// CheckPath refuses a path that may not be a place below a root. Such a path is empty, absolute or
// too long, or has a NUL, an empty part, "." or "..".
func CheckPath(path string) error {
	if path == "" {
		return errors.New("an empty path")
	}
	if len(path) > MaxPath {
		return fmt.Errorf("path %.40q... has %d bytes, more than %d", path, len(path), MaxPath)
	}
	if path[0] == '/' {
		return fmt.Errorf("path %q is absolute", path)
	}
	for rest, more := path, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		switch {
		case part == "", part == ".", part == "..":
			return fmt.Errorf("path %q has %q as a part", path, part)
		case len(part) > maxName:
			return fmt.Errorf("path %.40q... has a part of %d bytes, more than %d", path, len(part), maxName)
		}
	}
	if strings.IndexByte(path, 0) >= 0 {
		return fmt.Errorf("path %q has a NUL", path)
	}
	return nil
}

// Check refuses an entry that no scan makes: one with a bad path, or with fields that its kind does
// not have.
func (e *Entry) Check() error {
	if err := CheckPath(e.Path); err != nil {
		return err
	}
	if e.Mode&^0o777 != 0 {
		return fmt.Errorf("%q: mode %#o has more than permissions", e.Path, e.Mode)
	}
	if e.Kind != File && (e.Size != 0 || e.ModTime != 0 || e.Sum != [32]byte{}) {
		return fmt.Errorf("%q: a %s with size, time or sum", e.Path, e.Kind)
	}
	if e.Kind != Link && e.Target != "" {
		return fmt.Errorf("%q: a %s with a target", e.Path, e.Kind)
	}
	switch e.Kind {
	case File:
		if e.Size < 0 {
			return fmt.Errorf("%q: a size below 0", e.Path)
		}
	case Link:
		if e.Mode != 0 {
			return fmt.Errorf("%q: a link with a mode", e.Path)
		}
		if e.Target == "" || len(e.Target) > MaxPath || strings.IndexByte(e.Target, 0) >= 0 {
			return fmt.Errorf("%q: a link to %.40q, which no link can say", e.Path, e.Target)
		}
	case Dir:
	default:
		return fmt.Errorf("%q: no kind %d", e.Path, e.Kind)
	}
	return nil
}

// ID returns the identity of a list of entries: a hash of all their fields.
func ID(entries []Entry) [32]byte {
	h := sha256.New()
	h.Write([]byte(header))
	buf := make([]byte, 0, 4096)
	for i := range entries {
		buf = appendWhole(buf, &entries[i])
		buf = spill(h, buf, 3<<10)
	}
	spill(h, buf, 0)
	var id [32]byte
	h.Sum(id[:0])
	return id
}

// spill adds the buffer to a hash if it is above a limit, and returns the buffer to continue with.
func spill(h hash.Hash, buf []byte, limit int) []byte {
	if len(buf) <= limit {
		return buf
	}
	h.Write(buf)
	return buf[:0]
}

// appendWhole appends an entry with its whole path, for ID.
func appendWhole(b []byte, e *Entry) []byte {
	b = append(b, byte(e.Kind))
	b = binary.AppendUvarint(b, uint64(len(e.Path)))
	b = append(b, e.Path...)
	return appendRest(b, e)
}

// appendRest appends the fields of an entry after its kind and path.
func appendRest(b []byte, e *Entry) []byte {
	switch e.Kind {
	case Link:
		b = binary.AppendUvarint(b, uint64(len(e.Target)))
		return append(b, e.Target...)
	case Dir:
		return binary.AppendUvarint(b, uint64(e.Mode))
	}
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = binary.AppendVarint(b, e.ModTime)
	return append(b, e.Sum[:]...)
}
