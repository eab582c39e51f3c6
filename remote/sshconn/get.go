package sshconn

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/remote/tree"
)

// getScript packs $1 with the far side's tar. GNU's keeps holes and nanoseconds, others what they know.
const getScript = `p=$1;[ -e "$p" ]||[ -h "$p" ]||exit 44;command -v tar >/dev/null 2>&1||exit 45
case $p in */|.|..|*/.|*/..) cd -P -- "$p"||exit 43;p=$(pwd -P&&echo .);p=${p%??};[ "$p" != / ]||{ d=/;b=.;};;esac
if [ -z "$d" ];then case $p in */*) d=${p%/*}/;b=${p##*/};;*) d=.;b=$p;;esac;fi
cd -- "$d"||exit 43
case $(tar --version 2>/dev/null) in *GNU*) exec tar --format=pax --sparse --pax-option=delete=atime,delete=ctime --no-wildcards --no-unquote -cf - -- "$b";;esac
exec tar -cf - -- "$b"`

// Get writes path, which is relative to the log-in directory, as a tar stream. See compute.Conn.
//
// The far side's tar makes it, which keeps holes, times and hard links; where there is none it is read over SFTP, whose streams have whole
// seconds and neither holes nor hard links. What cannot be read is left out and said in the error.
func (s *Conn) Get(ctx context.Context, name string, w io.Writer) error {
	if s.isClosed() {
		return errClosed("ssh.Get")
	}
	if name == "" {
		return fileError("ssh.Get", &tree.FileError{Path: name, Err: fs.ErrNotExist})
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &watchedWriter{w: w, failed: cancel}
	var bad shell.Tail
	exit, err := s.Run(ctx, &compute.Command{
		Args: []string{"sh", "-c", getScript, "sh", name}, Env: map[string]string{"LC_ALL": "C", "TAR_OPTIONS": ""}, Stdout: out, Stderr: &bad,
	})
	switch {
	case out.err != nil:
		return s.fileError(context.Background(), "ssh.Get", out.err)
	case err != nil:
		return err
	case exit.Code == 44 && out.n == 0:
		return fileError("ssh.Get", &tree.FileError{Path: name, Err: fs.ErrNotExist})
	case exit.Code == 45 && out.n == 0:
		return s.getOverSFTP(ctx, name, w)
	case exit.Status() != 0:
		err := fmt.Errorf("tar on the host ended with %d: %s", exit.Status(), bad.Text())
		return s.fileError(context.Background(), "ssh.Get", err)
	}
	return nil
}

// watchedWriter ends the whole when the caller's writer takes no more.
type watchedWriter struct {
	w      io.Writer
	n      int64
	err    error
	failed context.CancelCauseFunc
}

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

func (s *Conn) getOverSFTP(ctx context.Context, name string, w io.Writer) error {
	f, err := s.openSFTP(ctx)
	if errors.Is(err, errNoSFTP) {
		err = &compute.Error{Op: "ssh.Get", ID: compute.ID(s.target.Alias), Kind: compute.ErrFailed,
			Err: errors.New("the host has neither tar nor SFTP"), Hint: "Copying from a host needs one of them there"}
	}
	if err != nil {
		return s.fileError(ctx, "ssh.Get", err)
	}
	defer f.close()
	if b := path.Base(name); name[len(name)-1] == '/' || b == "." || b == ".." {
		if name, err = f.RealPath(name); err != nil {
			return s.fileError(ctx, "ssh.Get", err)
		}
	}
	fi, err := f.Lstat(name)
	if err != nil {
		return s.fileError(ctx, "ssh.Get", &tree.FileError{Path: name, Err: tree.Cause(err)})
	}
	base := path.Base(name)
	if name == "/" {
		base = "."
	}
	p := &sftpPacker{ctx: ctx, far: f, tw: tar.NewWriter(w)}
	if err = p.add(name, base, fi); err == nil {
		if err = p.tw.Close(); err == nil {
			err = p.failed.Err()
		}
	}
	return s.fileError(ctx, "ssh.Get", err)
}

// sftpPacker is packer over SFTP.
type sftpPacker struct {
	ctx    context.Context // of this one call
	far    *sftpFiles
	tw     *tar.Writer
	failed tree.Failures
}

func (p *sftpPacker) fail(name string, err error) {
	p.failed.Add(&tree.FileError{Path: name, Err: tree.Cause(err)})
}

// add writes an entry and all below it. Its error means that the stream is broken.
func (p *sftpPacker) add(full, name string, fi fs.FileInfo) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: tree.Mode(fi.Mode()), ModTime: fi.ModTime(), Format: tar.FormatPAX}
	switch fi.Mode().Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		if err := p.tw.WriteHeader(h); err != nil {
			return err
		}
		below, err := p.far.ReadDir(full)
		if err != nil {
			p.fail(name, err)
			return nil
		}
		for _, b := range below {
			at := path.Join(name, b.Name())
			if err := p.add(path.Join(full, b.Name()), at, b); err != nil {
				return err
			}
		}
		return nil
	case fs.ModeSymlink:
		target, err := p.far.ReadLink(full)
		if err != nil {
			p.fail(name, err)
			return nil
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return p.tw.WriteHeader(h)
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
		return p.tw.WriteHeader(h)
	case 0:
		return p.file(full, h)
	}
	p.fail(name, errors.New("left out: sockets and devices are not copied"))
	return nil
}

func (p *sftpPacker) file(full string, h *tar.Header) error {
	f, err := p.far.Open(full)
	if err != nil {
		p.fail(h.Name, err)
		return nil
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		p.fail(h.Name, err)
		return nil
	}
	h.Typeflag, h.Size = tar.TypeReg, fi.Size()
	if err := p.tw.WriteHeader(h); err != nil {
		return err
	}
	// WriteTo asks for many pieces at once; what the file grew by meanwhile is left out.
	pr, pw := io.Pipe()
	go func() {
		_, err := f.WriteTo(pw)
		pw.CloseWithError(err)
	}()
	defer pr.Close()
	n, err := io.CopyN(p.tw, pr, h.Size)
	if err == nil {
		return nil
	}
	if p.ctx.Err() != nil || n == h.Size {
		return err
	}
	if _, werr := io.CopyN(p.tw, zeroReader{}, h.Size-n); werr != nil {
		return werr
	}
	if err == io.EOF {
		err = errors.New("shrank while it was read; the rest are zeros")
	}
	p.fail(h.Name, err)
	return nil
}

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
