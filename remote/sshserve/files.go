package sshserve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// files serves SFTP where the computer has no program for it: each request is a short command
// there, and what a file holds goes through one of ours here, without a name, as requests come in
// any order. It needs a POSIX shell there, and stat as coreutils and busybox have it.
type files struct {
	ctx  context.Context
	conn compute.Conn
	user string
	env  map[string]string

	mu      sync.Mutex
	writing map[string]*spool // files that are open to write
}

// serveFiles serves until the client hangs up.
func serveFiles(ctx context.Context, ch ssh.Channel, conn compute.Conn, user string, env map[string]string) error {
	f := &files{ctx: ctx, conn: conn, user: user, env: env, writing: map[string]*spool{}}
	home, err := f.run(`cd "${HOME:-/}" 2>/dev/null || cd /; pwd`, nil)
	if err != nil {
		return err
	}
	srv := sftp.NewRequestServer(
		ch, sftp.Handlers{FileGet: f, FilePut: f, FileCmd: f, FileList: f},
		sftp.WithStartDirectory(strings.TrimSuffix(string(home), "\n")),
	)
	if err := srv.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// The statuses by which scripts say what SFTP has a word for.
const (
	isMissing = 44
	isThere   = 46
)

// there ends a script where its first argument names nothing.
const there = `[ -e "$1" ] || [ -L "$1" ] || exit 44
`

// run runs a script there and returns what it prints.
func (f *files) run(script string, in io.Reader, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	exit, err := f.conn.Run(
		f.ctx,
		&compute.Command{
			Args: append([]string{"sh", "-c", script, "sh"}, args...), User: f.user, Env: f.env, Stdin: in, Stdout: &out,
			Stderr: &errs,
		},
	)
	if err == nil {
		err = refused(exit, errs.String())
	}
	return out.Bytes(), err
}

// refused is the error of a script that ended so.
func refused(exit compute.Exit, said string) error {
	switch {
	case exit.Status() == 0:
		return nil
	case exit.Status() == isMissing:
		return fs.ErrNotExist
	case exit.Status() == isThere:
		return fs.ErrExist
	case strings.Contains(said, "ermission denied") || strings.Contains(said, "not permitted"):
		return fs.ErrPermission
	case strings.Contains(said, "No such file") || strings.Contains(said, "nonexistent"):
		return fs.ErrNotExist
	}
	return errors.New(strings.TrimSpace(fmt.Sprintf("%s (status %d)", said, exit.Status())))
}

// spool is a file of ours that has what one of theirs has, or will.
type spool struct {
	*os.File
	end   func(*os.File) error // at its end; may be nil
	after []func() error       // what is to be set of theirs when all is written
}

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "hostler-sftp-")
	if err != nil {
		return nil, err
	}
	return &spool{File: f}, os.Remove(f.Name())
}

// Close hands the file to end from its beginning, if end is set, and closes it.
func (s *spool) Close() error {
	var err error
	if s.end != nil {
		if _, err = s.Seek(0, io.SeekStart); err == nil {
			err = s.end(s.File)
		}
	}
	return errors.Join(err, s.File.Close())
}

// fetch has a spool hold what a file there holds.
func (f *files) fetch(s *spool, name string) error {
	var errs bytes.Buffer
	exit, err := f.conn.Run(
		f.ctx,
		&compute.Command{
			Args: []string{"sh", "-c", there + `exec cat -- "$1"`, "sh", name}, User: f.user, Env: f.env, Stdout: s.File,
			Stderr: &errs,
		},
	)
	if err == nil {
		err = refused(exit, errs.String())
	}
	return err
}

// Fileread opens a file to read.
func (f *files) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	if err := f.fetch(s, r.Filepath); err != nil {
		_ = s.Close() // SFTP knows only plain errors
		return nil, err
	}
	return s, nil
}

// Filewrite opens a file to write. It is there at once, and has what was written when it is closed.
func (f *files) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	flags := r.Pflags()
	script := `: >>"$1"`
	switch {
	case flags.Excl:
		script = `set -C; : >"$1"`
	case flags.Trunc:
		script = `: >"$1"`
	case !flags.Creat:
		script = there + `: >>"$1"`
	}
	if _, err := f.run(script, nil, r.Filepath); err != nil {
		return nil, err
	}
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	if !flags.Trunc && !flags.Excl && !flags.Append {
		if err := f.fetch(s, r.Filepath); err != nil {
			_ = s.Close() // SFTP knows only plain errors
			return nil, err
		}
	}
	f.mu.Lock()
	f.writing[r.Filepath] = s
	f.mu.Unlock()
	s.end = func(in *os.File) error {
		script := `cat >"$1"`
		if flags.Append {
			script = `cat >>"$1"`
		}
		_, err := f.run(script, in, r.Filepath)
		f.mu.Lock()
		if f.writing[r.Filepath] == s {
			delete(f.writing, r.Filepath)
		}
		after := s.after
		f.mu.Unlock()
		for _, set := range after {
			err = errors.Join(err, set())
		}
		return err
	}
	return s, nil
}

// PosixRename puts a file in another's place.
func (f *files) PosixRename(r *sftp.Request) error {
	_, err := f.run(there+`if [ -d "$2" ] && [ ! -L "$2" ]; then exit 46; fi; exec mv -f -- "$1" "$2"`, nil, r.Filepath, r.Target)
	return err
}

// Filecmd changes something.
func (f *files) Filecmd(r *sftp.Request) (err error) {
	switch r.Method {
	case "Setstat":
		err = f.setstat(r)
	case "Rename":
		_, err = f.run(there+`if [ -e "$2" ] || [ -L "$2" ]; then exit 46; fi; exec mv -- "$1" "$2"`, nil, r.Filepath, r.Target)
	case "Rmdir":
		_, err = f.run(there+`exec rmdir -- "$1"`, nil, r.Filepath)
	case "Mkdir":
		_, err = f.run(`if [ -e "$1" ]; then exit 46; fi; exec mkdir -- "$1"`, nil, r.Filepath)
	case "Link":
		_, err = f.run(there+`exec ln -- "$1" "$2"`, nil, r.Filepath, r.Target)
	case "Symlink":
		_, err = f.run(`exec ln -s -- "$1" "$2"`, nil, r.Filepath, r.Target)
	case "Remove":
		_, err = f.run(
			there+`if [ -d "$1" ] && [ ! -L "$1" ]; then echo is a directory >&2; exit 1; fi; exec rm -f -- "$1"`, nil,
			r.Filepath,
		)
	default:
		err = sftp.ErrSSHFxOpUnsupported
	}
	return err
}

// setstat sets what a request says of a file: its size, owner, mode and times. Of one that is being
// written, when that is done: the writing would change it again, or could not be done.
func (f *files) setstat(r *sftp.Request) error {
	a, set := r.Attributes(), r.AttrFlags()
	script, args := there, []string{r.Filepath}
	add := func(command, value string) {
		args = append(args, value)
		script += fmt.Sprintf(command+" || exit\n", len(args))
	}
	if set.Size {
		add(`truncate -s "${%d}" "$1"`, strconv.FormatUint(a.Size, 10))
	}
	if set.UidGid {
		add(`chown "${%d}" "$1"`, fmt.Sprintf("%d:%d", a.UID, a.GID))
	}
	if set.Permissions {
		add(`chmod "${%d}" "$1"`, fmt.Sprintf("%o", a.Mode&0o7777))
	}
	if set.Acmodtime {
		add(`touch -m -d "@${%d}" "$1"`, strconv.FormatUint(uint64(a.Mtime), 10))
		add(`touch -a -d "@${%d}" "$1"`, strconv.FormatUint(uint64(a.Atime), 10))
	}
	apply := func() error {
		_, err := f.run(script, nil, args...)
		return err
	}
	f.mu.Lock()
	s := f.writing[r.Filepath]
	if s != nil {
		s.after = append(s.after, apply)
	}
	f.mu.Unlock()
	if s != nil {
		return nil
	}
	return apply()
}

// how is what stat says of a file, on a line.
const how = `'%f %s %X %Y %u %g'`

// Filelist lists a directory, or tells of a file.
func (f *files) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	switch r.Method {
	case "List":
		out, err := f.run(there+`cd -- "$1" || exit
for f in * .[!.]* ..?*; do
	if [ -e "$f" ] || [ -L "$f" ]; then stat -c `+how+` -- "$f" && printf '%s\0' "$f"; fi
done`, nil, r.Filepath)
		if err != nil {
			return nil, err
		}
		var all []fs.FileInfo
		for text := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
			if line, name, ok := strings.Cut(text, "\n"); ok {
				info, err := parseInfo(line, name)
				if err != nil {
					return nil, err
				}
				all = append(all, info)
			}
		}
		return lister(all), nil
	case "Stat":
		return f.stat(`[ -e "$1" ] || exit 44; exec stat -L -c `+how+` -- "$1"`, r.Filepath)
	}
	return nil, sftp.ErrSSHFxOpUnsupported
}

// Lstat tells of a link itself.
func (f *files) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	return f.stat(there+`exec stat -c `+how+` -- "$1"`, r.Filepath)
}

// Readlink tells where a link leads.
func (f *files) Readlink(name string) (string, error) {
	out, err := f.run(there+`exec readlink -- "$1"`, nil, name)
	return strings.TrimSuffix(string(out), "\n"), err
}

func (f *files) stat(script, name string) (sftp.ListerAt, error) {
	out, err := f.run(script, nil, name)
	if err != nil {
		return nil, err
	}
	info, err := parseInfo(strings.TrimSpace(string(out)), path.Base(name))
	return lister{info}, err
}

// lister is a list as SFTP reads it.
type lister []fs.FileInfo

func (l lister) ListAt(to []fs.FileInfo, from int64) (int, error) {
	if from >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(to, l[from:])
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}

// info is a file there.
type info struct {
	name string
	sftp.FileStat
}

// parseInfo reads a line of stat's.
func parseInfo(line, name string) (*info, error) {
	v := &info{name: name}
	var mode, atime, mtime uint64
	if _, err := fmt.Sscanf(line, "%x %d %d %d %d %d", &mode, &v.FileStat.Size, &atime, &mtime, &v.UID, &v.GID); err != nil {
		return nil, fmt.Errorf("what stat says there, %q: %w", line, err)
	}
	v.FileStat.Mode, v.Atime, v.Mtime = uint32(mode), uint32(atime), uint32(mtime)
	return v, nil
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return int64(i.FileStat.Size) }
func (i *info) Mode() fs.FileMode  { return i.FileMode() }
func (i *info) ModTime() time.Time { return time.Unix(int64(i.Mtime), 0) }
func (i *info) IsDir() bool        { return i.Mode().IsDir() }
func (i *info) Sys() any           { return &i.FileStat }
