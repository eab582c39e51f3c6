package remote

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/remote/tree"
)

// Side is one end of a copy: a path on a computer. A relative path starts in the directory that the
// connection's commands start in, "~" and "~/x" in the user's home. On this machine "-" is standard
// input or output.
type Side struct {
	Conn compute.Conn // nil: this machine
	Path string
}

// CopyOptions say how to copy.
type CopyOptions struct {
	// directories too, and links as links; without it a link is followed, a directory is an error
	Recursive    bool
	DstMustBeDir bool      // the destination must be a directory, as with several sources
	Stdin        io.Reader // what "-" is as a source
	Stdout       io.Writer // what "-" is as a destination
	// called now and then with how much of the files' contents has passed; may be nil. It must not
	// block
	Progress func(bytes int64)
}

// Copy copies a file or a tree as cp does: onto the destination's name, or into it when it is a
// directory. Modes and times are kept, and each file appears by rename. It goes on after a file
// that cannot be copied; the error names each. Nothing is kept on disk or in memory on the way.
func Copy(ctx context.Context, from, to Side, opt CopyOptions) error {
	if from.Conn == nil && from.Path != "-" || to.Conn == nil && to.Path != "-" {
		here := process.New(process.Options{KeepEnv: true})
		defer func() { _ = here.Close() }()
		if from.Conn == nil && from.Path != "-" {
			from.Conn = here
		}
		if to.Conn == nil && to.Path != "-" {
			to.Conn = here
		}
	}
	c := &copier{ctx: ctx, opt: opt, from: from, to: to}
	switch {
	case from.Conn == nil && to.Conn == nil:
		_, err := io.Copy(orDiscard(opt.Stdout), c.counted(opt.Stdin))
		return err
	case from.Conn == nil:
		return c.fromInput()
	}
	return c.copy()
}

type copier struct {
	ctx      context.Context // of this one call
	opt      CopyOptions
	from, to Side
	passed   int64
}

// place is what is known of a path on a computer.
type place struct {
	// 'd' directory, 'f' something else, 'n' nothing, in a directory that exists, 'm' nothing, and
	// no such directory either; or see special
	kind byte
	in   bool // path is in the directory that was asked for
	path string
}

// The script of inspect. $3 says that a file is to be written there: then $2, its name, is
// looked for in $1, should that be a directory, and a link to a file is followed.
const placeScript = `case $1 in "~") p=$HOME;; "~/"*) p=$HOME/${1#"~/"};; *) p=$1;; esac
w=-; i=${p%/}/$2
[ "$2" ] && [ -d "$p" ] && [ ! -d "$i" ] && { [ -e "$i" ] || [ -h "$i" ]; } && w=i p=$i
q=$p; while :; do case $q in ?*/) q=${q%/};; *) break;; esac; done
case $q in */*) d=${q%/*}/;; *) d=.;; esac
if [ -d "$p" ]; then k=d; elif [ -e "$q" ] || [ -h "$q" ]; then k=f; elif [ -d "$d" ]; then k=n; else k=m; fi
if [ $k = f ] && [ "$3" ] && [ "$q" = "$p" ]; then
if [ -b "$q" ] || [ -c "$q" ]; then k=b; elif [ -p "$q" ]; then k=p; elif [ -S "$q" ]; then k=s
elif [ -h "$q" ] && [ ! -e "$q" ]; then k=x
elif [ -h "$q" ]; then case $q in -*) q=./$q;; esac; p=$(readlink -f "$q" && echo .) || exit; p=${p%??}; fi
fi
printf '%s%s%s' $k $w "$p"`

// special returns why a file is not copied onto what is at a place; nil: it is.
func (p place) special() error {
	var err error
	switch p.kind {
	case 'b':
		err = tree.ErrDevice
	case 'p':
		err = tree.ErrPipe
	case 's':
		err = tree.ErrSocket
	case 'x':
		return &compute.Error{
			Op: "copy", Kind: compute.ErrInvalid, Err: errors.New(p.path + " is a symbolic link that leads nowhere"),
			Hint: "remove it, or name where it should lead",
		}
	default:
		return nil
	}
	return &compute.Error{
		Op: "copy", Kind: compute.ErrInvalid, Err: &tree.FileError{Path: p.path, Err: err},
		Hint: "to write into it, copy to - and send that there",
	}
}

// inspect asks a computer about a path. With write, a file is to be written there: under the name
// file, should it be a directory; "": not into that.
func (c *copier) inspect(s Side, write bool, file string) (place, error) {
	if s.Path == "" {
		return place{}, invalid("an empty path")
	}
	var out shell.Answer
	var errs shell.Tail
	args := []string{"sh", "-c", placeScript, "sh", s.Path, file}
	if write {
		args = append(args, "write")
	}
	exit, err := s.Conn.Run(c.ctx, &compute.Command{Args: args, Stdout: &out, Stderr: &errs, Aside: true})
	said := out.String()
	switch {
	case err != nil:
		return place{}, err
	case out.Err != nil:
		return place{}, fmt.Errorf("%s: cannot be looked at: %w", s.Path, out.Err)
	case exit != compute.Exit{} || len(said) < 3:
		return place{}, fmt.Errorf("%s: cannot be looked at: %s", s.Path, errs.Text())
	}
	return place{said[0], said[1] == 'i', said[2:]}, nil
}

func invalid(text string) error {
	return &compute.Error{Op: "copy", Kind: compute.ErrInvalid, Err: errors.New(text)}
}

// copy copies from a computer.
func (c *copier) copy() error {
	if strings.HasPrefix(c.from.Path, "~") {
		p, err := c.inspect(c.from, false, "")
		if err != nil {
			return err
		}
		c.from.Path = p.path
	}
	src := c.source(c.from.Path)
	defer func() { _ = src.stop() }()
	first, err := src.first()
	if err == nil && first.Typeflag == tar.TypeSymlink && !c.opt.Recursive {
		_ = src.stop()
		name, lerr := c.follow()
		if lerr != nil {
			return lerr
		}
		next := c.source(name)
		defer func() { _ = next.stop() }()
		src = next
		first, err = src.first()
	}
	if err != nil {
		return err
	}
	isDir := first.Typeflag == tar.TypeDir
	if isDir && !c.opt.Recursive {
		return &compute.Error{
			Op: "copy", Kind: compute.ErrInvalid, Err: errors.New(c.from.Path + " is a directory"),
			Hint: "give -r to copy a directory",
		}
	}
	if c.to.Conn == nil {
		if first.Typeflag != tar.TypeReg {
			return invalid(c.from.Path + " is no file that could be written to standard output")
		}
		if _, err = io.Copy(orDiscard(c.opt.Stdout), c.counted(src.tr)); err != nil {
			return fmt.Errorf("%s: %w", c.from.Path, err)
		}
		return src.rest()
	}
	dir, base, err := c.target(first.Typeflag)
	if err != nil {
		return err
	}
	return c.copyRenamed(src, first, dir, base)
}

// target returns the directory to put into, and the name there; "." merges a tree into the
// directory itself. A file goes where a link at its destination leads, as cp has it; it was asked
// for by name. Within a tree, and for what is no file, links are replaced.
func (c *copier) target(kind byte) (dir, base string, err error) {
	name, file, isDir := path.Base(c.from.Path), "", kind == tar.TypeDir
	if kind == tar.TypeReg {
		file = name
	}
	to, err := c.inspect(c.to, file != "", file)
	if err != nil {
		return "", "", err
	}
	if isDir && c.from.Conn == c.to.Conn && isBelow(to.path, c.from.Path) {
		return "", "", invalid("cannot copy " + c.from.Path + " into itself")
	}
	if err := to.special(); err != nil {
		return "", "", err
	}
	switch {
	case to.kind == 'd' && (name == "." || name == ".." || name == "/"):
		return to.path, ".", nil
	case to.kind == 'd':
		return to.path, name, nil
	case c.opt.DstMustBeDir && !to.in, to.kind == 'f' && (isDir || strings.HasSuffix(to.path, "/")),
		to.kind == 'n' && !isDir && strings.HasSuffix(to.path, "/"):
		return "", "", invalid(c.to.Path + " is not a directory")
	case to.kind == 'm':
		return "", "", &compute.Error{
			Op: "copy", Kind: compute.ErrNotFound,
			Err: errors.New("no such directory: " + path.Dir(path.Clean(to.path))),
		}
	}
	clean := strings.TrimRight(to.path, "/")
	dir, base = path.Split(clean)
	if dir == "" {
		dir = "."
	}
	return dir, base, nil
}

// isBelow reports whether a is b or below it, as far as names show.
func isBelow(a, b string) bool {
	a, b = path.Clean(a), path.Clean(b)
	return a == b || strings.HasPrefix(a, strings.TrimSuffix(b, "/")+"/") ||
		b == "." && !path.IsAbs(a) && a != ".." && !strings.HasPrefix(a, "../")
}

// follow returns where a link leads.
func (c *copier) follow() (string, error) {
	var out shell.Answer
	exit, err := c.from.Conn.Run(
		c.ctx, &compute.Command{Args: []string{"readlink", "-f", c.protectDash(c.from.Path)}, Stdout: &out, Aside: true},
	)
	if err == nil && out.Err != nil {
		err = fmt.Errorf("%s: %w", c.from.Path, out.Err)
	}
	if err == nil && exit != (compute.Exit{}) {
		err = &compute.Error{Op: "copy", Kind: compute.ErrNotFound, Err: errors.New(c.from.Path + ": the link leads nowhere")}
	}
	return strings.TrimSuffix(out.String(), "\n"), err
}

// protectDash keeps a path from being taken for an option.
func (c *copier) protectDash(p string) string {
	if strings.HasPrefix(p, "-") {
		return "./" + p
	}
	return p
}

// copyRenamed gives the destination the source's stream under other names.
func (c *copier) copyRenamed(src *source, first *tar.Header, dir, base string) error {
	pr, pw := io.Pipe()
	renamed := make(chan error, 1)
	go func() {
		err := c.rename(src, first, base, pw)
		_ = pw.CloseWithError(err)
		renamed <- err
	}()
	err := c.to.Conn.Put(c.ctx, dir, pr)
	if err == nil {
		_, _ = io.Copy(io.Discard, pr) // what is behind the end of the archive
	}
	_ = pr.CloseWithError(errStopped)
	rerr := <-renamed
	if rerr != nil && (errors.Is(rerr, errStopped) || errors.Is(err, rerr)) {
		rerr = nil // the destination ended it, or has said it
	}
	return errors.Join(err, rerr)
}

var errStopped = errors.New("the other side has stopped")

// rename copies the archive with base in place of the first entry's name. Entries that are not
// below the first were not asked for: a computer that sends them is up to something, and they are
// refused.
func (c *copier) rename(src *source, first *tar.Header, base string, w io.Writer) error {
	tw := tar.NewWriter(w)
	old := strings.TrimSuffix(first.Name, "/")
	var bad tree.Failures
	for h := first; ; {
		name, ok := renamed(h.Name, old, base)
		if ok && h.Typeflag == tar.TypeLink {
			h.Linkname, ok = renamed(h.Linkname, old, base)
		}
		if !ok || h != first && first.Typeflag != tar.TypeDir {
			bad.Add(fmt.Errorf("%q: was not asked for, and is left out", h.Name))
		} else {
			out := &tar.Header{
				Name: name, Typeflag: h.Typeflag, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode, Uid: h.Uid,
				Gid: h.Gid, ModTime: h.ModTime, Format: tar.FormatPAX,
			}
			if h.Typeflag == tar.TypeGNUSparse || h.Typeflag == tar.TypeCont {
				out.Typeflag = tar.TypeReg
			}
			if err := tw.WriteHeader(out); err != nil {
				return err
			}
			if _, err := io.Copy(tw, c.counted(src.tr)); err != nil {
				return err
			}
		}
		var err error
		if h, err = src.tr.Next(); err == io.EOF {
			break
		} else if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return src.broken(err)
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return errors.Join(bad.Err(), src.rest())
}

// renamed returns name with old replaced by base, or false if name is not old or below it. An
// old of "." is above every name.
func renamed(name, old, base string) (string, bool) {
	tail := ""
	if old != "." {
		var ok bool
		if tail, ok = strings.CutPrefix(name, old); !ok || tail != "" && tail[0] != '/' {
			return "", false
		}
	} else if name != "." && name != "./" {
		tail = "/" + strings.TrimPrefix(name, "./")
	}
	return base + tail, true
}

// counted reports what is read.
func (c *copier) counted(r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		if r == nil {
			return 0, io.EOF
		}
		n, err := r.Read(b)
		if c.passed += int64(n); n > 0 && c.opt.Progress != nil {
			c.opt.Progress(c.passed)
		}
		return n, err
	})
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// fromInput writes standard input to a file. Its size is not known, so it cannot go as an archive:
// it goes through cat.
func (c *copier) fromInput() error {
	to, err := c.inspect(c.to, true, "")
	if err == nil {
		err = to.special()
	}
	if err != nil {
		return err
	}
	switch {
	case to.kind == 'd':
		return invalid(c.to.Path + " is a directory")
	case to.kind == 'm':
		return &compute.Error{Op: "copy", Kind: compute.ErrNotFound, Err: errors.New("no such directory: " + path.Dir(to.path))}
	case c.opt.DstMustBeDir, strings.HasSuffix(to.path, "/"):
		return invalid(c.to.Path + " is not a directory")
	}
	dir, _ := path.Split(to.path)
	temp := dir + ".hostler-" + rand.Text()[:12]
	// a reader that fails looks like its end to cat, so nothing is renamed before this is known
	var failed error
	in := c.counted(c.opt.Stdin)
	guarded := readerFunc(func(b []byte) (int, error) {
		n, err := in.Read(b)
		if err != nil && err != io.EOF {
			failed = err
		}
		return n, err
	})
	script := func(text string, stdin io.Reader, args ...string) error {
		var errs shell.Tail
		cmd := &compute.Command{Args: append([]string{"sh", "-c", text, "sh"}, args...), Stdin: stdin, Stderr: &errs, Aside: true}
		exit, err := c.to.Conn.Run(c.ctx, cmd)
		if err == nil && exit != (compute.Exit{}) {
			err = fmt.Errorf("%s: %s", c.to.Path, errs.Text())
		}
		return err
	}
	err = script(`cat > "$1"`, guarded, temp)
	if err == nil {
		err = failed
	}
	if err == nil {
		err = script(`mv -f "$1" "$2"`, nil, c.protectDash(temp), c.protectDash(to.path))
	}
	if err != nil {
		clean := context.WithoutCancel(c.ctx)
		_, _ = c.to.Conn.Run(clean, &compute.Command{Args: []string{"rm", "-f", c.protectDash(temp)}, Aside: true})
	}
	return err
}
