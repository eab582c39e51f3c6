package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/remote/tree"
)

// getScript packs $1 with the far side's tar. GNU's keeps holes and nanoseconds, others what they
// know.
const getScript = `p=$1;[ -e "$p" ]||[ -h "$p" ]||exit 44;command -v tar >/dev/null 2>&1||exit 45
case $p in */|.|..|*/.|*/..) cd -P -- "$p"||exit 43;p=$(pwd -P&&echo .);p=${p%??};[ "$p" != / ]||{ d=/;b=.;};;esac
if [ -z "$d" ];then case $p in */*) d=${p%/*}/;b=${p##*/};;*) d=.;b=$p;;esac;fi
cd -- "$d"||exit 43
case $(tar --version 2>/dev/null) in *GNU*) exec tar --format=pax --sparse --pax-option=delete=atime,delete=ctime --no-wildcards --no-unquote -cf - -- "$b";;esac
exec tar -cf - -- "$b"`

// ErrNoTar says that there is no tar on the far side.
var ErrNoTar = errors.New("there is no tar on the far side")

// Runner runs commands on the far side, as a compute.Conn does.
type Runner interface {
	Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error)
}

// Get writes a path of the far side as a tar stream, which the far side's tar makes: that keeps
// holes, times and hard links. What cannot be read is left out and said in the error, after all the
// rest. ErrNoTar: nothing was written. The errors of the runner come as they are.
func Get(ctx context.Context, r Runner, name string, w io.Writer) error {
	if name == "" {
		return &tree.FileError{Path: name, Err: fs.ErrNotExist}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &watchedWriter{w: w, failed: cancel}
	var bad shell.Tail
	exit, err := r.Run(ctx, &compute.Command{
		Args: []string{"sh", "-c", getScript, "sh", name}, Env: map[string]string{"LC_ALL": "C", "TAR_OPTIONS": ""},
		Stdout: out, Stderr: &bad,
	})
	switch {
	case out.err != nil:
		return &WriteError{out.err}
	case err != nil:
		return err
	case exit.Code == 44 && out.n == 0:
		return &tree.FileError{Path: name, Err: fs.ErrNotExist}
	case exit.Code == 45 && out.n == 0:
		return ErrNoTar
	case exit.Status() != 0:
		return fmt.Errorf("tar on the host ended with %d: %s", exit.Status(), bad.Text())
	}
	return nil
}

// WriteError is a writer of the caller's that took no more.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return e.Err.Error() }
func (e *WriteError) Unwrap() error { return e.Err }

// watchedWriter ends the whole when the caller's writer takes no more.
type watchedWriter struct {
	w      io.Writer
	n      int64
	err    error
	failed context.CancelCauseFunc
}

// Write passes b on and counts it. It calls failed at the first error, and returns that error
// ever after.
func (w *watchedWriter) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.w.Write(b)
	w.n += int64(n)
	if err != nil {
		w.err = err
		w.failed(err)
	}
	return n, err
}
