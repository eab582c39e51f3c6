package files

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/remote/tree"
)

// Shell are the far side's files by a short script for each act, with cat, chmod, touch, mv, ln,
// mkdir.
type Shell struct {
	Runner Runner
	Owner  bool // files get the owners that a stream names, where that is permitted
}

var _ Files = (*Shell)(nil)

// sh runs a script with words as its arguments. A status of 44 says that what was named is not
// there, 45 that it is no directory, 46 to 48 that it is what tree.Special names.
func (f *Shell) sh(ctx context.Context, in io.Reader, script string, words ...string) (string, error) {
	var out shell.Answer
	var bad shell.Tail
	exit, err := f.Runner.Run(ctx, &compute.Command{
		Args: append([]string{"sh", "-c", script, "sh"}, words...), Env: map[string]string{"LC_ALL": "C"}, Stdin: in,
		Stdout: &out, Stderr: &bad,
	})
	switch {
	case err != nil:
		return "", err
	case out.Err != nil:
		return "", out.Err
	case exit.Code == 44 && exit.Signal == "":
		return "", fs.ErrNotExist
	case exit.Code == 45:
		return "", errNotDirectory
	case exit.Code == 46:
		return "", tree.ErrDevice
	case exit.Code == 47:
		return "", tree.ErrPipe
	case exit.Code == 48:
		return "", tree.ErrSocket
	case exit.Status() != 0 && strings.Contains(bad.LastLine(), "Permission denied"):
		return "", fmt.Errorf("%w: %s", fs.ErrPermission, bad.LastLine())
	case exit.Status() != 0:
		return "", fmt.Errorf("status %d: %s", exit.Status(), bad.LastLine())
	}
	return out.String(), nil
}

// Real implements Files.
func (f *Shell) Real(ctx context.Context, dir string) (string, error) {
	out, err := f.sh(ctx, nil, `[ -e "$1" ]||exit 44;[ -d "$1" ]||exit 45;cd -P -- "$1"&&pwd -P&&echo .`, dir)
	return strings.TrimSuffix(out, "\n.\n"), err
}

// Mkdir implements Files.
func (f *Shell) Mkdir(ctx context.Context, dir string) error {
	_, err := f.sh(ctx, nil, `mkdir -- "$1"`, dir)
	return err
}

// Close implements Files.
func (f *Shell) Close() {}

// setFar gives $1 the time $2 (UTC, as POSIX touch reads it; $3 is what others read to the
// nanosecond), the owner $4 if it is not "-" and the mode $5, of four digits; of setuid, setgid and
// sticky it gets the last alone where it does not get its owner (see ModeFor). A directory keeps
// setgid in spite of a numeric mode, so that is taken away by name.
const setFar = `m=$5;{ [ "$4" != - ]&&chown -h -- "$4" "$1" 2>/dev/null;}||{ case $m in [1357]???) m=1${m#?};;*) m=0${m#?};;esac;chmod ug-s -- "$1"||exit;}
chmod -- "$m" "$1"||exit
touch -d "$3" -- "$1" 2>/dev/null||TZ=UTC0 touch -t "$2" -- "$1"||exit
`

// keepFar ends the script where $6 is something that no copy replaces.
const keepFar = `if [ ! -h "$6" ];then if [ -b "$6" ]||[ -c "$6" ];then exit 46;elif [ -p "$6" ];then exit 47;elif [ -S "$6" ];then exit 48;fi;fi
`

// moveFar puts $1 in the place of $6, which may be a link to a directory: that is replaced, not
// entered.
const moveFar = `{ [ ! -d "$6" ]||[ -h "$6" ];}||{ echo "Is a directory" >&2;exit 1;}
if [ -h "$6" ]&&[ -d "$6" ];then mv -fT -- "$1" "$6" 2>/dev/null||{ rm -f -- "$6"&&mv -f -- "$1" "$6";};else mv -f -- "$1" "$6";fi
`

// words returns the arguments of the shell script for one file. The time is in two formats, for
// a touch with and without fractions, and "-" keeps the owner.
func (f *Shell) words(temp, name string, h *tar.Header) []string {
	t := h.ModTime.UTC()
	owner := "-"
	if f.Owner {
		owner = strconv.Itoa(h.Uid) + ":" + strconv.Itoa(h.Gid)
	}
	return []string{
		temp, t.Format("200601021504.05"), t.Format("2006-01-02T15:04:05.000000000Z"), owner,
		fmt.Sprintf("%04o", h.Mode&0o7777), name,
	}
}

// Write implements Files.
func (f *Shell) Write(ctx context.Context, temp, name string, h *tar.Header, body io.Reader) error {
	// Standard input may end early because the stream broke, so the size is checked before the file
	// gets its name.
	script := keepFar + `trap 'rm -f -- "$1"' 0;(umask 077;set -C;cat >"$1")||exit
[ "$(wc -c <"$1")" -eq "$7" ]||{ echo "it came short" >&2;exit 1;}
` + setFar + moveFar + `trap - 0`
	in := &exactReader{r: io.LimitReader(body, h.Size), turn: make(chan struct{}, 1)}
	_, err := f.sh(ctx, in, script, append(f.words(temp, name, h), strconv.FormatInt(h.Size, 10))...)
	n, rerr := in.end(ctx)
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err == nil && n != h.Size || rerr != nil && rerr != io.EOF {
		return &tree.ReadError{Err: errors.Join(io.ErrUnexpectedEOF, rerr)}
	}
	return err
}

// exactReader counts what is read and keeps the error. A command that ends before it has read all
// leaves somebody reading for it: until end.
type exactReader struct {
	r     io.Reader
	turn  chan struct{} // 1 slot, as a lock of the fields below
	ended bool
	n     int64
	err   error
}

// Read reads on while no other call reads; once ended is set it returns io.EOF.
func (e *exactReader) Read(b []byte) (int, error) {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	if e.ended {
		return 0, io.EOF
	}
	n, err := e.r.Read(b)
	e.n, e.err = e.n+int64(n), err
	return n, err
}

// end stops the reading, and tells how much was read, and with which error. It waits for a read
// that is under way, until ctx ends.
func (e *exactReader) end(ctx context.Context) (int64, error) {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-e.turn }()
	e.ended = true
	return e.n, e.err
}

// Special implements Files.
func (f *Shell) Special(ctx context.Context, temp, name string, h *tar.Header) error {
	words := append(f.words(temp, name, h), h.Linkname)
	script := keepFar + `trap 'rm -f -- "$1"' 0;`
	switch h.Typeflag {
	case tar.TypeSymlink:
		script += `ln -s -- "$7" "$1"||exit;touch -h -d "$3" -- "$1" 2>/dev/null;` + moveFar + `trap - 0`
	case tar.TypeLink:
		script += `[ -h "$7" ]||[ -e "$7" ]||exit 44;ln -P -- "$7" "$1" 2>/dev/null||ln -- "$7" "$1"||exit;` + moveFar
	default:
		// One that is there already stays: somebody may wait at it.
		script = `if [ -p "$6" ]&&[ ! -h "$6" ];then shift;set -- "$5" "$@";` + setFar + `exit;fi
` + script + `mkfifo -- "$1"||exit;` + setFar + moveFar + `trap - 0`
	}
	_, err := f.sh(ctx, nil, script, words...)
	return err
}

// Attributes implements Files.
func (f *Shell) Attributes(ctx context.Context, dir string, h *tar.Header) error {
	_, err := f.sh(ctx, nil, setFar, f.words(dir, dir, h)...)
	return err
}
