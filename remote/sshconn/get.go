package sshconn

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/files"
	"github.com/hostler-project/hostler/remote/tree"
)

// Get writes path, which is relative to the log-in directory, as a tar stream. See compute.Conn.
//
// The far side's tar makes it, which keeps holes, times and hard links; where there is none it is
// read over SFTP, whose streams have whole seconds and neither holes nor hard links. What cannot be
// read is left out and said in the error.
func (s *Conn) Get(ctx context.Context, name string, w io.Writer) error {
	if s.isClosed() {
		return errClosed("ssh.Get")
	}
	err := files.Get(ctx, s, name, w)
	var own *compute.Error // of Run
	var taken *files.WriteError
	switch {
	case err == nil, errors.As(err, &own), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &taken):
		return s.fileError(context.Background(), "ssh.Get", taken.Err)
	case errors.Is(err, files.ErrNoTar):
		return s.getOverSFTP(ctx, name, w)
	}
	return s.fileError(context.Background(), "ssh.Get", err)
}

// getOverSFTP packs a tree of the host over SFTP, for hosts without tar.
func (s *Conn) getOverSFTP(ctx context.Context, name string, w io.Writer) error {
	f, err := s.openSFTP(ctx)
	if errors.Is(err, errNoSFTP) {
		err = &compute.Error{Op: "ssh.Get", ID: compute.ID(s.target.Alias), Kind: compute.ErrFailed,
			Err: errors.New("the host has neither tar nor SFTP"), Hint: "Copying from a host needs one of them there"}
	}
	if err != nil {
		return s.fileError(ctx, "ssh.Get", err)
	}
	defer f.Close()
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

// file packs one file. What cannot be read is told and left out, and a file that shrinks is
// filled up with zeros.
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
