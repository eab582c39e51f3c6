package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// openLog opens a program's log for appending. Its directory belongs to the program's user, which
// may put anything there. So it refuses all but a regular file of that user with a single name.
func openLog(p *Program) (*os.File, error) {
	return openOwn(p, p.Log, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT)
}

// openOwn opens a file of a program's directory, following nothing.
func openOwn(p *Program, name string, flags int) (*os.File, error) {
	dir, err := unix.Open(p.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p.Dir, Err: err}
	}
	defer unix.Close(dir)
	path := p.Dir + "/" + name
	fd, err := unix.Openat2(
		dir, name,
		&unix.OpenHow{
			Flags: uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK), Mode: modeOf(flags),
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
		},
	)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = f.Close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	own := p.User == nil || os.Getuid() != 0 || st.Uid == p.User.UID
	if st.Uid == 0 && !own && st.Size == 0 { // it was made just now
		own = f.Chown(int(p.User.UID), int(p.User.GID)) == nil
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || !own {
		_ = f.Close()
		return nil, &os.PathError{Op: "open", Path: path, Err: errors.New("it is no file of the program's user alone: remove it")}
	}
	return f, nil
}

func modeOf(flags int) uint64 {
	if flags&unix.O_CREAT != 0 {
		return 0o640
	}
	return 0
}

// rotate begins anew the logs that have grown too long.
func (c *core) rotate() {
	c.each(func(p *program) {
		if p.run == nil || p.Log == "" {
			return
		}
		var st unix.Stat_t
		if unix.Lstat(p.Dir+"/"+p.Log, &st) != nil || st.Size <= c.o.LogBytes {
			return
		}
		if err := rotateLog(&p.Program, 10*c.o.LogBytes); err != nil {
			c.o.Log.Warn("a log cannot be turned over", "program", p.fullName(), "err", err)
		}
	})
}

// rotateLog copies the end of a program's log, most bytes of it at most, to a second file and
// empties it. The program has it open and goes on appending; its output between the two steps is
// lost.
func rotateLog(p *Program, most int64) error {
	in, err := openOwn(p, p.Log, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer in.Close()
	dir, err := os.OpenRoot(p.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	next, second := p.Log+".new", p.Log+".1"
	if err := dir.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := dir.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	defer out.Close()
	if p.User != nil && os.Getuid() == 0 {
		if err := out.Chown(int(p.User.UID), int(p.User.GID)); err != nil {
			return err
		}
	}
	if st, err := in.Stat(); err == nil && st.Size() > most {
		if _, err := in.Seek(-most, io.SeekEnd); err != nil {
			return err
		}
	}
	if _, err := io.Copy(out, io.LimitReader(in, 2*most)); err != nil {
		_ = dir.Remove(next)
		return fmt.Errorf("copy %s: %w", in.Name(), err)
	}
	if err := in.Truncate(0); err != nil {
		return err
	}
	return dir.Rename(next, second)
}
