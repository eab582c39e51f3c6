package cloud

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// File is a local file that is copied to a server. A leading "~/" is the home directory, here and
// on the server.
type File struct {
	Local    string `json:"local"`
	Remote   string `json:"remote,omitempty"`   // "": as Local
	Optional bool   `json:"optional,omitempty"` // skipped if there is no such file here
}

// ParseFiles reads a comma-separated list of LOCAL or LOCAL:REMOTE, as wr has it. Files that are
// missing are skipped, as in wr.
func ParseFiles(list string) (out []File) {
	for _, one := range strings.Split(list, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		local, remote, _ := strings.Cut(one, ":")
		out = append(out, File{Local: local, Remote: remote, Optional: true})
	}
	return out
}

// CopyOver copies files to the server with their modes and times. It makes missing directories.
func (s *Server) CopyOver(ctx context.Context, files []File) error {
	for _, f := range files {
		if f.Remote == "" {
			f.Remote = f.Local
		}
		local, err := home(f.Local)
		if err != nil {
			return err
		}
		if _, err := os.Stat(local); f.Optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.UploadFile(ctx, local, f.Remote); err != nil {
			return err
		}
	}
	return nil
}

// UploadFile copies a file to the server, with its mode and time. It makes a missing directory. The
// file appears at once and whole.
func (s *Server) UploadFile(ctx context.Context, local, remote string) error {
	f, err := os.Open(local)
	if err != nil {
		return s.fail("UploadFile", compute.ErrInvalid, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", local)
	}
	if err != nil {
		return s.fail("UploadFile", compute.ErrInvalid, err)
	}
	return s.put(ctx, "UploadFile", remote, tar.Header{Size: info.Size(), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}, f)
}

// CreateFile writes a text to a file on the server that only the server's user may read.
func (s *Server) CreateFile(ctx context.Context, content, remote string) error {
	return s.put(
		ctx, "CreateFile", remote, tar.Header{Size: int64(len(content)), Mode: 0o600, ModTime: time.Now()},
		strings.NewReader(content),
	)
}

func (s *Server) put(ctx context.Context, op, remote string, h tar.Header, content io.Reader) error {
	if err := s.begin(op); err != nil {
		return err
	}
	defer s.ended()
	remote, err := s.absolute(ctx, remote)
	if err != nil {
		return err
	}
	dir, name := path.Split(remote)
	if err := s.MkDir(ctx, dir); err != nil {
		return err
	}
	conn, err := s.SSHClient(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := s.line.while(ctx)
	defer cancel(nil)
	r, w := io.Pipe()
	h.Name, h.Typeflag, h.Format = name, tar.TypeReg, tar.FormatPAX
	packed := make(chan error, 1)
	go func() {
		t := tar.NewWriter(w)
		err := t.WriteHeader(&h)
		if err == nil {
			_, err = io.CopyN(t, content, h.Size)
		}
		if err == nil {
			err = t.Close()
		}
		_ = w.CloseWithError(err)
		packed <- err
	}()
	err = conn.Put(ctx, dir, r)
	_ = r.CloseWithError(io.ErrClosedPipe) // a goroutine that still writes ends
	if packing := <-packed; packing != nil && !errors.Is(packing, io.ErrClosedPipe) {
		err = packing
	}
	if err != nil {
		s.line.drop(conn, err)
		return s.fail(op, kindOr(err, compute.ErrFailed), fmt.Errorf("%s: %w", remote, err))
	}
	return nil
}

// DownloadFile copies a file of the server here, readable by its owner alone. The directory must
// exist. The file appears at once and whole.
func (s *Server) DownloadFile(ctx context.Context, remote, local string) error {
	if err := s.begin("DownloadFile"); err != nil {
		return err
	}
	defer s.ended()
	local, err := home(local)
	if err != nil {
		return err
	}
	if remote, err = s.absolute(ctx, remote); err != nil {
		return err
	}
	conn, err := s.SSHClient(ctx)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(local), ".download-") // 0600
	if err != nil {
		return s.fail("DownloadFile", compute.ErrInvalid, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	ctx, cancel := s.line.while(ctx)
	defer cancel(nil)
	r, w := io.Pipe()
	got := make(chan error, 1)
	go func() {
		err := conn.Get(ctx, remote, w)
		_ = w.CloseWithError(err)
		got <- err
	}()
	err = only(r, f, remote)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	_ = r.CloseWithError(io.ErrClosedPipe)
	if getting := <-got; getting != nil && !errors.Is(getting, io.ErrClosedPipe) {
		err = getting
	}
	if err == nil {
		if err = f.Close(); err == nil {
			err = os.Rename(f.Name(), local)
		}
	}
	if err != nil {
		s.line.drop(conn, err)
		return s.fail("DownloadFile", kindOr(err, compute.ErrFailed), fmt.Errorf("%s: %w", remote, err))
	}
	return nil
}

// only copies the contents of the only file in a tar stream.
func only(r io.Reader, w io.Writer, name string) error {
	t := tar.NewReader(r)
	h, err := t.Next()
	if err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return fmt.Errorf("%s is no file", name)
	}
	_, err = io.Copy(w, t)
	return err
}

// MkDir makes a directory and its parents on the server. Where the user may not, it uses sudo and
// gives the directory to the user.
func (s *Server) MkDir(ctx context.Context, dir string) error {
	dir, err := s.absolute(ctx, dir)
	if err != nil {
		return err
	}
	const script = `[ -d "$1" ] && exit 0; mkdir -p -- "$1" 2>/dev/null && exit 0
sudo -n mkdir -p -- "$1" && sudo -n chown "$(id -u):$(id -g)" -- "$1"`
	_, _, err = s.run(ctx, "MkDir", &compute.Command{Args: []string{"sh", "-c", script, "sh", dir}})
	return err
}

// HomeDir returns the directory in which commands start on the server.
func (s *Server) HomeDir(ctx context.Context) (string, error) {
	out, _, err := s.run(ctx, "HomeDir", &compute.Command{Args: []string{"pwd"}})
	return strings.TrimSuffix(out, "\n"), err
}

// GetTimeZone returns the server's time zone. It knows the offset from UTC alone.
func (s *Server) GetTimeZone(ctx context.Context) (*time.Location, error) {
	out, _, err := s.run(ctx, "GetTimeZone", &compute.Command{Args: []string{"date", "+%z"}})
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(out)
	n, err := strconv.Atoi(text)
	if err != nil || len(text) != 5 {
		return nil, s.fail("GetTimeZone", compute.ErrFailed, fmt.Errorf("the server says that its zone is %q", text))
	}
	return time.FixedZone("SER", n/100*3600+n%100*60), nil
}

// absolute returns the absolute path of a name on the server.
func (s *Server) absolute(ctx context.Context, name string) (string, error) {
	if path.IsAbs(name) {
		return name, nil
	}
	dir, err := s.HomeDir(ctx)
	if err != nil {
		return "", err
	}
	return path.Join(dir, strings.TrimPrefix(name, "~/")), nil
}
