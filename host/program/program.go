package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/version"
)

const (
	// Whole is the name of the program that has everything.
	Whole = "hostlerd"
	// buildVariable tells the whole program which build calls it.
	buildVariable = "HOSTLER_BUILD"
	installHint   = "put both programs of one build into one directory; make build makes them, and so does go install .../hostler/cmd/..."
)

// Path returns the path of the whole program: the one beside this one, or this one if there is
// none. What runs for long and reads its configuration again is started from it.
func Path() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if path, err := beside(self, Whole); err == nil {
		return path, nil
	}
	return self, nil
}

// Front returns the path of hostler: the one beside this program, or this one if there is none.
func Front() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if path, err := beside(self, "hostler"); err == nil {
		return path, nil
	}
	return self, nil
}

// Installed identifies what is installed, also among builds of one version. Both programs return
// the same.
func Installed() string {
	b := version.Read().Version
	if path, err := Path(); err == nil {
		if info, err := os.Stat(path); err == nil {
			b += fmt.Sprintf("-%x-%x", info.Size(), info.ModTime().UnixNano())
		}
	}
	return b
}

// Command returns a command of the program Whole beside this one, with this process's environment.
func Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := whole()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = Marked(os.Environ())
	return cmd, nil
}

// Marked returns an environment for the program Whole, which names the build of this one.
func Marked(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, buildVariable+"=") })
	return append(env, buildVariable+"="+build())
}

// ReplaceBy replaces this process by the program Whole beside it, with the same command line,
// environment, directory and files. It returns only an error.
func ReplaceBy(argv []string) error {
	path, err := whole()
	if err != nil {
		return err
	}
	if os.Getenv(buildVariable) == build() {
		err = errors.New("what is beside hostler starts hostler again, so it is another program")
	} else {
		err = syscall.Exec(path, argv, Marked(os.Environ()))
	}
	return &compute.Error{Kind: compute.ErrUnavailable, Hint: installHint, Err: fmt.Errorf("this needs the program %s: %w", Whole, err)}
}

// whole returns the path of the program Whole.
func whole() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", Whole, err)
	}
	path, err := beside(self, Whole)
	if err != nil {
		return "", &compute.Error{
			Kind: compute.ErrUnavailable, Hint: installHint,
			Err: fmt.Errorf("this needs the program %s, which is not beside %s: %w", Whole, self, err),
		}
	}
	return path, nil
}

// beside finds a program in the directory of another, or in the one that its link leads to. PATH is
// not asked, as it may name another version. A file that another user could have put there is
// refused: only root's, the caller's and those of the other program's owner are taken.
func beside(self, name string) (string, error) {
	own, err := os.Stat(self)
	if err != nil {
		return "", err
	}
	places := []string{filepath.Dir(self)}
	if real, err := filepath.EvalSymlinks(self); err == nil && filepath.Dir(real) != places[0] {
		places = append(places, filepath.Dir(real))
	}
	for _, dir := range places {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if info.Mode()&0o111 == 0 {
			return "", fmt.Errorf("%s may not be executed: %w", path, fs.ErrPermission)
		}
		if owner := ownerOf(info); owner != 0 && owner != os.Geteuid() && owner != ownerOf(own) || info.Mode()&0o002 != 0 {
			return "", fmt.Errorf("%s belongs to another user, or others may change it: %w", path, fs.ErrPermission)
		}
		return path, nil
	}
	return "", fs.ErrNotExist
}

// ownerOf returns the user whose a file is.
func ownerOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// CheckCaller refuses to go on for a hostler of another build: the two would read the same files in
// different ways. It takes the caller's build out of the environment, so that what this process
// starts does not see it.
func CheckCaller() error {
	caller, called := os.LookupEnv(buildVariable)
	if !called {
		return nil
	}
	if err := os.Unsetenv(buildVariable); err != nil {
		return err
	}
	if own := build(); caller != own {
		return &compute.Error{
			Kind: compute.ErrUnavailable, Hint: installHint,
			Err: errors.New("hostler is of the build " + caller + ", and " + Whole + " beside it of " + own),
		}
	}
	return nil
}

// build identifies what this program was built from: the version, and the commit if the compiler
// noted one.
func build() string {
	words := []string{version.Read().Version, runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" || s.Key == "vcs.modified" && s.Value == "true" {
				words = append(words, strings.TrimPrefix(s.Key, "vcs.")+"="+s.Value)
			}
		}
	}
	return strings.Join(words, " ")
}
