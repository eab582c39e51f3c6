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
	return s.files.copyOver(ctx, files)
}

// UploadFile copies a file to the server, with its mode and time. It makes a missing directory. The
// file appears at once and whole.
func (s *Server) UploadFile(ctx context.Context, local, remote string) error {
	return s.files.upload(ctx, local, remote)
}

// CreateFile writes a text to a file on the server that only the server's user may read.
func (s *Server) CreateFile(ctx context.Context, content, remote string) error {
	return s.files.create(ctx, content, remote)
}

// DownloadFile copies a file of the server here, readable by its owner alone. The directory must
// exist. The file appears at once and whole.
func (s *Server) DownloadFile(ctx context.Context, remote, local string) error {
	return s.files.download(ctx, remote, local)
}

// MkDir makes a directory and its parents on the server. Where the user may not, it uses sudo and
// gives the directory to the user.
func (s *Server) MkDir(ctx context.Context, dir string) error {
	return s.files.mkDir(ctx, dir)
}

// HomeDir returns the directory in which commands start on the server.
func (s *Server) HomeDir(ctx context.Context) (string, error) {
	return s.files.homeDir(ctx)
}

// GetTimeZone returns the server's time zone. It knows the offset from UTC alone.
func (s *Server) GetTimeZone(ctx context.Context) (*time.Location, error) {
	out, _, err := s.shell.run(ctx, "GetTimeZone", &compute.Command{Args: []string{"date", "+%z"}})
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(out)
	n, err := strconv.Atoi(text)
	if err != nil || len(text) != 5 {
		return nil, s.shell.line.fail("GetTimeZone", compute.ErrFailed, fmt.Errorf("the server says that its zone is %q", text))
	}
	return time.FixedZone("SER", n/100*3600+n%100*60), nil
}

// files copies files to and from a server, and finds its directories.
type files struct {
	shell *shell
}

// copyOver uploads the files. An empty Remote means the local path, and a missing optional file
// is skipped.
func (fl *files) copyOver(ctx context.Context, files []File) error {
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
		if err := fl.upload(ctx, local, f.Remote); err != nil {
			return err
		}
	}
	return nil
}

// upload copies one regular file with its mode and its time of change.
func (fl *files) upload(ctx context.Context, local, remote string) error {
	f, err := os.Open(local)
	if err != nil {
		return fl.shell.line.fail("UploadFile", compute.ErrInvalid, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", local)
	}
	if err != nil {
		return fl.shell.line.fail("UploadFile", compute.ErrInvalid, err)
	}
	return fl.put(ctx, "UploadFile", remote, tar.Header{Size: info.Size(), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}, f)
}

func (fl *files) create(ctx context.Context, content, remote string) error {
	return fl.put(
		ctx, "CreateFile", remote, tar.Header{Size: int64(len(content)), Mode: 0o600, ModTime: time.Now()},
		strings.NewReader(content),
	)
}

// put writes content to remote, as a tar stream of one file. It creates missing directories, and
// h.Size bytes must come.
func (fl *files) put(ctx context.Context, op, remote string, h tar.Header, content io.Reader) error {
	ended, err := fl.shell.use(op)
	if err != nil {
		return err
	}
	defer ended()
	remote, err = fl.absolute(ctx, remote)
	if err != nil {
		return err
	}
	dir, name := path.Split(remote)
	if err := fl.mkDir(ctx, dir); err != nil {
		return err
	}
	conn, err := fl.shell.line.connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := fl.shell.line.withServer(ctx)
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
		fl.shell.line.drop(conn, err)
		return fl.shell.line.fail(op, kindUnlessKnown(err, compute.ErrFailed), fmt.Errorf("%s: %w", remote, err))
	}
	return nil
}

// download copies one remote file to local. The file is written under another name first, so
// local is never half written.
func (fl *files) download(ctx context.Context, remote, local string) error {
	ended, err := fl.shell.use("DownloadFile")
	if err != nil {
		return err
	}
	defer ended()
	local, err = home(local)
	if err != nil {
		return err
	}
	if remote, err = fl.absolute(ctx, remote); err != nil {
		return err
	}
	conn, err := fl.shell.line.connect(ctx)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(local), ".download-") // 0600
	if err != nil {
		return fl.shell.line.fail("DownloadFile", compute.ErrInvalid, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	ctx, cancel := fl.shell.line.withServer(ctx)
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
		fl.shell.line.drop(conn, err)
		return fl.shell.line.fail("DownloadFile", kindUnlessKnown(err, compute.ErrFailed), fmt.Errorf("%s: %w", remote, err))
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

// mkDir creates dir and its parents. Where the login may not, it tries with sudo and gives dir
// to the login.
func (fl *files) mkDir(ctx context.Context, dir string) error {
	dir, err := fl.absolute(ctx, dir)
	if err != nil {
		return err
	}
	const script = `[ -d "$1" ] && exit 0; mkdir -p -- "$1" 2>/dev/null && exit 0
sudo -n mkdir -p -- "$1" && sudo -n chown "$(id -u):$(id -g)" -- "$1"`
	_, _, err = fl.shell.run(ctx, "MkDir", &compute.Command{Args: []string{"sh", "-c", script, "sh", dir}})
	return err
}

func (fl *files) homeDir(ctx context.Context) (string, error) {
	out, _, err := fl.shell.run(ctx, "HomeDir", &compute.Command{Args: []string{"pwd"}})
	return strings.TrimSuffix(out, "\n"), err
}

// absolute returns the absolute path of a name on the server.
func (fl *files) absolute(ctx context.Context, name string) (string, error) {
	if path.IsAbs(name) {
		return name, nil
	}
	dir, err := fl.homeDir(ctx)
	if err != nil {
		return "", err
	}
	return path.Join(dir, strings.TrimPrefix(name, "~/")), nil
}
