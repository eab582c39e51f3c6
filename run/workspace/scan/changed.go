package scan

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Changed says whether the files of a tree differ from git's index.
type Changed uint8

// The answers. Files that git neither tracks nor ignores are a difference.
const (
	Unchanged    Changed = iota
	FilesChanged         // at least one differs
	// it would take too long to find out, or only git can read this form of index
	Unsure
)

// The most files, and the most bytes of each, that are read only for this answer.
const (
	mostCompared = 64
	mostBytes    = 4 << 20
)

// differs compares a file with git's index, which was written at the given time. The file's
// attributes decide if they can be trusted, else its raw contents. No filter of git runs.
func (s *scanner) differs(found *foundPath, t *tracked, written time.Time) Changed {
	switch {
	case !t.merged:
		return FilesChanged
	case t.hidden, t.module && found.what == lookDir:
		return Unchanged
	case found.what == lookLink:
		return differsFromIndex(t, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "blob %d\x00%s", len(found.Target), found.Target)
			return err
		})
	case found.what != lookFile || (found.id.mode&0o100 != 0) != t.runs:
		return FilesChanged
	case found.id.mtime == t.mtime && uint32(found.id.size) == t.size && t.mtime < written.UnixNano():
		return Unchanged
	}
	if s.compared++; s.compared > mostCompared || found.id.size > mostBytes {
		return Unsure
	}
	return differsFromIndex(t, func(w io.Writer) error {
		f, err := openFile(s.at.root, found.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fprintf(w, "blob %d\x00", found.id.size)
		if err == nil {
			_, err = io.CopyN(w, f, found.id.size)
		}
		return err
	})
}

// differsFromIndex hashes contents as git does, and compares the hash with the index.
func differsFromIndex(t *tracked, write func(io.Writer) error) Changed {
	h := sha1.New()
	if err := write(h); err != nil || [20]byte(h.Sum(nil)) != t.blob {
		return FilesChanged
	}
	return Unchanged
}

// Staged reports whether git's index differs from the commit that is checked out in the work tree
// at root. It runs one git process, which runs no other program and writes nothing.
func Staged(ctx context.Context, root string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	err := gitCommand(ctx, root, "diff-index", "--cached", "--quiet", "--ignore-submodules=none", "HEAD", "--").Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return true, nil
	}
	return false, err
}

// IndexStamp returns a word that changes when git's index of the work tree at root is written; ""
// if there is no index.
func IndexStamp(root string) string {
	dir, err := gitDir(root)
	if err != nil {
		return ""
	}
	var st unix.Stat_t
	if unix.Stat(filepath.Join(dir, "index"), &st) != nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", st.Mtim.Nano(), st.Size, st.Ino)
}
