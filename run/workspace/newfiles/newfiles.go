package newfiles

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Place is the directory and the user of the command.
type Place struct {
	Dir  string // "": where commands start
	User string // "": the connection's own
}

// File is a file that was found.
type File struct {
	Path string // below the place's directory
	Size int64
	mark string // its identity and times
}

// Listing has the files that exist at one moment.
type Listing struct {
	Dir   string // the place's directory, absolute
	Files []File // by path
}

const (
	maxListing = 64 << 20 // bytes of names
	maxSaid    = 2000     // bytes of messages of errors
)

// list prints the directory, then the size, marks and name of each file, with a NUL behind each. It
// leaves out what it cannot read.
const list = `pwd -P || exit 90
printf '\0'
if stat --printf '' . 2>/dev/null; then
  find . "$@" -exec stat --printf '%s %i/%.9Y/%.9Z %n\0' {} +
elif stat -c '' . >/dev/null 2>&1; then
  find . "$@" ! -name '*
*' -exec stat -c '%s %i/%Y/%Z %n' {} + | tr '\n' '\0'
elif stat -f '' . >/dev/null 2>&1; then
  find . "$@" ! -name '*
*' -exec stat -f '%z %i/%Fm/%Fc %N' {} + | tr '\n' '\0'
else exit 91
fi
command -v find >/dev/null || exit 92
exit 0`

// List finds the files that match one of the patterns.
func List(ctx context.Context, conn compute.Conn, at Place, patterns []Pattern) (*Listing, error) {
	var out, said bounded
	out.left, said.left = maxListing, maxSaid
	exit, err := conn.Run(ctx, &compute.Command{
		Args: append([]string{"sh", "-c", list, "sh"}, expression(patterns)...), Dir: at.Dir, User: at.User,
		Env: map[string]string{"LC_ALL": "C"}, Stdout: &out, Stderr: &said,
	})
	switch {
	case err != nil:
		return nil, err
	case out.over:
		return nil, fmt.Errorf(
			"the names of the files there are more than %d MiB; a pattern that begins with a directory looks only below that",
			maxListing>>20,
		)
	case exit.Status() == 91 || exit.Status() == 92:
		return nil, errors.New("there is no find or no stat on it, so its files cannot be looked for")
	case exit.Status() != 0:
		return nil, fmt.Errorf(
			"looking for files ended with status %d: %s", exit.Status(),
			strings.Join(strings.Fields(said.String()), " "),
		)
	}
	return read(out.Bytes(), patterns)
}

// read parses the output of list.
func read(data []byte, patterns []Pattern) (*Listing, error) {
	dir, rest, ok := strings.Cut(string(data), "\x00")
	l := &Listing{Dir: strings.TrimSuffix(dir, "\n")}
	if !ok || !path.IsAbs(l.Dir) {
		return nil, errors.New("what the other side says of its files is not well formed")
	}
	for rest != "" {
		var line string
		if line, rest, ok = strings.Cut(rest, "\x00"); !ok {
			return nil, errors.New("what the other side says of its files ends too soon")
		}
		size, more, _ := strings.Cut(line, " ")
		mark, name, ok := strings.Cut(more, " ")
		n, err := strconv.ParseInt(size, 10, 64)
		name, below := strings.CutPrefix(name, "./")
		if !ok || err != nil || n < 0 || !below || !filepath.IsLocal(name) || path.Clean(name) != name {
			continue // not the name of a file below
		}
		if slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Match(name) }) {
			l.Files = append(l.Files, File{name, n, mark})
		}
	}
	slices.SortFunc(l.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	l.Files = slices.CompactFunc(l.Files, func(a, b File) bool { return a.Path == b.Path })
	return l, nil
}

// Since returns the files that are new or changed since an earlier listing, which may be nil.
func (l *Listing) Since(before *Listing) []File {
	if before == nil {
		return l.Files
	}
	old := map[string]File{}
	for _, f := range before.Files {
		old[f.Path] = f
	}
	var out []File
	for _, f := range l.Files {
		if was, ok := old[f.Path]; !ok || was != f {
			out = append(out, f)
		}
	}
	return out
}

// errTooLarge is the error for a file above the limit.
var errTooLarge = errors.New("is larger than it may be")

// Fetch writes at most limit bytes of a file to w, and returns how many. A link is an error.
func Fetch(ctx context.Context, conn compute.Conn, dir, name string, limit int64, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := conn.Get(ctx, path.Join(dir, name), pw)
		_ = pw.CloseWithError(err)
		ended <- err
	}()
	n, err := unpack(pr, limit, w)
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(pr, 1<<20)) // the end of the archive
	}
	cancel()
	_ = pr.CloseWithError(errors.New("enough"))
	if gerr := <-ended; err != nil && gerr != nil && !errors.Is(gerr, context.Canceled) && !errors.Is(err, errTooLarge) {
		err = gerr
	}
	return n, err
}

// unpack writes the only file of an archive.
func unpack(r io.Reader, limit int64, w io.Writer) (int64, error) {
	archive := tar.NewReader(r)
	h, err := archive.Next()
	if errors.Is(err, io.EOF) {
		return 0, errors.New("is not there")
	}
	if err != nil {
		return 0, err
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse {
		return 0, errors.New("is not a regular file")
	}
	if h.Size > limit {
		return 0, errTooLarge
	}
	return io.Copy(w, archive)
}

// bounded keeps what is written to it, up to a limit.
type bounded struct {
	bytes.Buffer
	left int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.over = b.over || n < len(p)
	_, _ = b.Buffer.Write(p[:n])
	return len(p), nil
}
