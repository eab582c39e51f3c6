package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider/catalog"
)

// The files of a user are below two directories:
//
//	state    $XDG_STATE_HOME/hostler, else ~/.local/state/hostler
//	         state.db, trust/, instances/SOURCE/{computers,log,ssh}
//	runtime  $XDG_RUNTIME_DIR/hostler, else /tmp/hostler-UID
//	         the keeper's socket

// Home returns the user's home directory, or an error that says what to set.
func Home() (string, error) {
	const hint = "set HOME, or XDG_STATE_HOME"
	h := os.Getenv("HOME")
	if !filepath.IsAbs(h) {
		return "", fault.Invalid(hint, "HOME is not set to a directory, so there is no place for the state")
	}
	// some users of the system have a missing one on purpose
	if info, err := os.Stat(h); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return "", fault.Invalid(hint, "HOME is %s, and there is no such directory, so there is no place for the state", h)
	}
	return h, nil
}

// StateDir returns the directory of files that must not be lost. It may not exist.
func StateDir() (string, error) {
	// the XDG specification says to ignore a relative path
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hostler"), nil
	}
	h, err := Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(h, ".local", "state", "hostler"), nil
}

// RuntimeDir returns the directory of sockets, and makes it if needed. Only this user can enter it:
// anybody who could put a socket there could read what clients send.
func RuntimeDir() (string, error) {
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) && private(d) == nil {
		return ownDir(filepath.Join(d, "hostler"))
	}
	return ownDir(filepath.Join("/tmp", "hostler-"+strconv.Itoa(os.Getuid())))
}

// ownDir makes a directory that only this user can enter, or checks that it is one.
func ownDir(dir string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := private(dir); err != nil {
		return "", fault.Denied("remove it, or set XDG_RUNTIME_DIR to a directory of your own", "%v", err)
	}
	return dir, nil
}

// private returns why a directory is not only this user's: another owner, a link, or open to
// others.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !ok || int(sys.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %#o)", dir, info.Mode().Perm())
	}
	return nil
}

// imagesDir returns the directory of the image store; "": there is none.
func imagesDir() string {
	dir, err := CacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "images")
}

// AnswersCommand is the first argument of the process that runs runAnswers.
const AnswersCommand = "answer-names"

// userDirs returns this user's directories that providers need to know.
func userDirs() (o catalog.Dirs) {
	if self, err := os.Executable(); err == nil {
		o.Answers = []string{self, AnswersCommand, "/etc/resolv.conf"}
	}
	if h := os.Getenv("HOME"); filepath.IsAbs(h) {
		o.Home = h
	}
	if dir, err := StateDir(); err == nil {
		o.State, o.Network = append(o.State, dir), filepath.Join(dir, "network")
	}
	if dir, err := CacheDir(); err == nil {
		o.State = append(o.State, dir)
	}
	if dir, err := RuntimeDir(); err == nil {
		o.State, o.Masks = append(o.State, dir), filepath.Join(dir, "masks")
	}
	if d := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		o.State = append(o.State, filepath.Join(d, "hostler"))
	} else if o.Home != "" {
		o.State = append(o.State, filepath.Join(o.Home, ".config", "hostler"))
	}
	return o
}
