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

// A Kind is what an Entry is of.
type Kind uint8

// The kinds. Their numbers are those of the wire.
const (
	File Kind = 1 // a regular file
	Link Kind = 2 // a symbolic link, never followed
	Dir  Kind = 3 // a directory that nothing below it brings along: an empty one
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

// An Entry is one thing that belongs in a workspace.
type Entry struct {
	Path string // bytes, relative to the root, with slashes; see CheckPath
	Kind Kind   //
	// permissions: of files 0644 or 0755, or all of 0777 where modes are kept; of directories
	// likewise; 0 of links
	Mode    uint32
	Size    int64    // of a file, in bytes; else 0
	ModTime int64    // of a file, in nanoseconds since 1970; else 0
	Sum     [32]byte // the SHA-256 of a file's contents; else 0
	Target  string   // what a link says, as it says it; else ""
}

// A Tree is what belongs in a workspace, and what was met on the way.
type Tree struct {
	Root string // the directory that was looked at, absolute
	// the caller's directory below Root, with slashes; "": Root itself, or a directory outside of
	// it
	Sub     string
	Git     bool     // whether git said what belongs to it
	Entries []Entry  // sorted by the bytes of Path, each path once
	ID      [32]byte // ID(Entries)
	// paths that git tracks and does not show here (sparse checkout, skip-worktree): on the far
	// side they stay as they are
	Hidden  []string
	Special []string // sockets, fifos and devices, which are left out
	Outside []string // links whose target is absolute or leads out of the tree: sent as they are
	Changed Changed  // whether the files here differ from git's index, for trees of git
	// of the guards: it is much that had to be read, and will have to be sent; else ""
	Warning string
	Bytes   int64 // the sizes of all files together

	// the directory with the contents of what stands below ".git"; "": there is nothing
	Repository string
}

// AddRepository puts into a tree what Repository makes of it in a directory, which must stay as
// long as contents are to be read.
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

// Place says where the contents of a path of the tree are: in which directory, and under which
// name.
func (t *Tree) Place(path string) (dir, name string) {
	if rest, ok := strings.CutPrefix(path, ".git/"); ok && t.Repository != "" {
		return t.Repository, rest
	}
	return t.Root, path
}

// Add puts more entries into a tree, such as those of Repository. A path that it has already is an
// error.
func (t *Tree) Add(more []Entry) error {
	all := slices.Concat(t.Entries, more)
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	var order ordered
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

// The limits of what a path and a link may say, those of Linux.
const (
	MaxPath = 4095 // bytes
	maxName = 255  // bytes of one part of a path
)

// CheckPath refuses a path that could mean anything but a place below a root: an empty or absolute
// one, one with a NUL, with an empty part, with "." or ".." as a part, or one that is longer than
// any file system has it.
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

// Check refuses an entry that no scan makes: with a path that CheckPath refuses, or with what its
// kind has not.
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

// ID returns the identity of a list of entries: a hash over all that they say.
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

// spill gives a hash what has gathered, if that is more than some bytes, and returns the buffer to
// go on with.
func spill(h hash.Hash, buf []byte, limit int) []byte {
	if len(buf) <= limit {
		return buf
	}
	h.Write(buf)
	return buf[:0]
}

// appendWhole appends an entry with its whole path: what ID hashes.
func appendWhole(b []byte, e *Entry) []byte {
	b = append(b, byte(e.Kind))
	b = binary.AppendUvarint(b, uint64(len(e.Path)))
	b = append(b, e.Path...)
	return appendRest(b, e)
}

// appendRest appends what an entry says beside its kind and path.
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
