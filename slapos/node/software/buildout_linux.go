package software

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

const (
	profile = "buildout.cfg"
	program = "bin/buildout"
	// an attempt began without a bootstrap, and has not succeeded
	skipped   = "bin/buildout-bootstrap-skipped"
	mask      = 0o027       // of what builds
	describes = time.Minute // may pass until git has described a checkout
)

// buildout builds a release by the profile at its URL. It goes on with the remains of an earlier
// attempt, as the reference does.
func (b *Builder) buildout(ctx context.Context, u *User, url string) error {
	dir := b.Dir(url)
	err := u.as(func() error { return b.startDirectory(u, url, dir) })
	if err != nil {
		return &compute.Error{Op: "software.Install", Kind: compute.ErrFailed, Err: err}
	}
	if err := b.revision(ctx, u, url, dir); err != nil {
		return &compute.Error{Op: "software.Install", Kind: compute.ErrFailed, Err: err}
	}
	parameters := []string{"buildout:extends-cache=" + dir + "/extends-cache", "buildout:directory=" + dir}
	if len(b.NetworkCache) > 0 {
		parameters = append(parameters, "buildout:networkcache-section=networkcache")
		for _, one := range b.NetworkCache {
			parameters = append(parameters, "networkcache:"+one)
		}
	}
	if !b.Force {
		parameters = append(parameters, "-N")
	}
	parameters = append(parameters, "-c", filepath.Join(dir, profile))
	out := &output{log: b.Log}
	run := func(home, program string, extra ...string) error {
		argv, err := b.interpreted(u, program, dir)
		if err != nil {
			return err
		}
		if b.Debug {
			argv = append(argv, "-D")
		}
		argv = append(append(append(argv, "-U"), parameters...), extra...)
		err = b.run(ctx, u, step{dir: dir, of: dir, home: home, what: "buildout profile", argv: argv}, out)
		out.end()
		return err
	}
	skip := false
	if err := u.as(func() error { skip, err = skipsBootstrap(dir); return err }); err != nil {
		return &compute.Error{Op: "software.Install", Kind: compute.ErrFailed, Err: err}
	}
	if !skip {
		bootstrap, err := b.bootstrap()
		if err != nil {
			return err
		}
		home := u.Home
		if home == "" {
			home = dir
		}
		if err := run(home, bootstrap, "bootstrap"); err != nil {
			return err
		}
	}
	if err := run(dir, program); err != nil {
		return err
	}
	return u.as(func() error {
		if err := os.Remove(filepath.Join(dir, skipped)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// startDirectory makes what a release's directory begins with.
func (b *Builder) startDirectory(u *User, url, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "extends-cache"), 0o755); err != nil {
		return err
	}
	// with Force: it is not whole until it is built again
	_ = os.Remove(filepath.Join(dir, completed))
	netrc, err := readAtMost(filepath.Join(u.Home, ".netrc"), 1<<20)
	if u.Home != "" && err == nil {
		err = put(filepath.Join(dir, ".netrc"), netrc, 0o600)
	} else {
		err = os.Remove(filepath.Join(dir, ".netrc"))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, profile)); err == nil {
		return nil
	}
	text := "[buildout]\nextends = " + url + "\n"
	for _, list := range []struct {
		name  string
		lines []string
	}{{"shared-part-list", b.SharedParts}, {"build-time-part-list", b.BuildTimeParts}} {
		if text += list.name + " ="; len(list.lines) > 0 {
			text += "\n  " + strings.Join(list.lines, "\n  ")
		}
		text += "\n"
	}
	return put(filepath.Join(dir, profile), []byte(text), 0o644)
}

// revision notes which git revision is built, in the profile of a release that is a file of a git
// checkout, once for each release. A failure of git is no error.
func (b *Builder) revision(ctx context.Context, u *User, url, dir string) error {
	if !filepath.IsAbs(url) {
		return nil
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return nil
	}
	var out bytes.Buffer
	err = runas.Run(ctx, runas.Command{Argv: []string{git, "-c", "safe.directory=*", "describe", "--always", "--dirty", "--tags"},
		Dir: filepath.Dir(url), Env: runas.Environ(b.environ(), dir),
		User: u.Run, Umask: mask, Output: &out, Errors: io.Discard, Limit: describes})
	described := strings.TrimSpace(out.String())
	if err != nil || described == "" || strings.ContainsAny(described, "\n\r") {
		return ctx.Err()
	}
	return u.as(func() error {
		path := filepath.Join(dir, profile)
		text, err := readAtMost(path, 1<<20)
		if err != nil || bytes.Contains(text, []byte(" git revision: "+described+"\n")) {
			return err
		}
		text = fmt.Appendf(bytes.TrimRight(text, "\n"), "\n# %s git revision: %s\n", time.Now().Format("2006-01-02 15:04:05"), described)
		return put(path, text, 0o644)
	})
}

// skipsBootstrap says whether an existing buildout needs no bootstrap, and notes its use. If
// that note is still there at the next attempt, this one has failed, possibly for want of a
// bootstrap.
func skipsBootstrap(dir string) (bool, error) {
	if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
		return false, nil
	}
	note := filepath.Join(dir, skipped)
	if _, err := os.Lstat(note); err == nil {
		return false, nil
	}
	return true, put(note, nil, 0o644)
}

// bootstrap is the program that makes a release's own buildout.
func (b *Builder) bootstrap() (string, error) {
	name := b.Buildout
	if name == "" {
		name = "buildout"
	}
	path, err := exec.LookPath(name)
	if err != nil || !filepath.IsAbs(path) {
		return "", &compute.Error{Op: "software.Install", Kind: compute.ErrInvalid,
			Hint: "name one by the option buildout of the section [slapos], or by --buildout",
			Err:  fmt.Errorf("there is no buildout to bootstrap with: %q is no program", name)}
	}
	return path, nil
}

// interpreted is how a script is run: by the program of its first line, as that may be too long for
// the kernel.
func (b *Builder) interpreted(u *User, script, dir string) ([]string, error) {
	path := script
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, script)
	}
	var begin []byte
	err := u.as(func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		begin, err = io.ReadAll(io.LimitReader(f, 4096))
		return err
	})
	if err != nil {
		return nil, &compute.Error{Op: "software.Install", Kind: compute.ErrFailed, Err: fmt.Errorf("buildout cannot be run: %w", err)}
	}
	line, _, _ := strings.Cut(string(begin), "\n")
	words, ok := strings.CutPrefix(line, "#!")
	if argv := strings.Fields(words); ok && len(argv) > 0 {
		return append(argv, script), nil
	}
	return []string{path}, nil
}

// A step is a program that builds.
type step struct {
	dir  string // where it runs
	of   string // the release's directory, by which it is found
	home string
	what string // it is
	argv []string
}

// run runs a program that builds.
func (b *Builder) run(ctx context.Context, u *User, s step, out *output) error {
	err := runas.Run(
		ctx,
		runas.Command{Argv: s.argv, Dir: s.dir, Env: runas.Environ(b.environ(), s.home), Mark: s.of, User: u.Run, Umask: mask, Output: out},
	)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	text := out.text()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok { // it did not even begin
		text += err.Error()
	}
	return &compute.Error{Op: "software.Install", Kind: compute.ErrFailed, Err: &failure{Dir: s.of, What: s.what, Output: text, Err: err}}
}

// readAtMost reads a regular file that is not larger.
func readAtMost(path string, most int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > most {
		return nil, fmt.Errorf("%s is no regular file of at most %d bytes", path, most)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
