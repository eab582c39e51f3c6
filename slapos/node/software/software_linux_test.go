package software_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

const builds = 4771 // the software user, where we are root

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// place is a directory that every user may look into.
func place(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostler-software-")
	do(t, err)
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(p, 0o700)
			}
			return err
		})
		do(t, os.RemoveAll(dir))
	})
	do(t, os.Chmod(dir, 0o755))
	return dir
}

// A site is a software root, and what was said there.
type site struct {
	*software.Builder
	t    testing.TB
	mu   sync.Mutex
	said []string
}

func newSite(t testing.TB) *site {
	t.Helper()
	root := filepath.Join(place(t), "root")
	do(t, os.Mkdir(root, 0o755))
	if os.Getuid() == 0 {
		do(t, os.Chown(root, builds, builds))
	}
	s := &site{
		t:       t,
		Builder: &software.Builder{Root: root, Environ: []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "PYTHONPATH=/nowhere"}},
	}
	s.Log = func(line string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.said = append(s.said, line)
	}
	return s
}

// heard says whether a line with a text was said.
func (s *site) heard(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.said, func(line string) bool { return strings.Contains(line, text) })
}

// read is a file of a release.
func (s *site) read(url, name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Dir(url), name))
	do(s.t, err)
	return string(b)
}

// names are all of the software root.
func (s *site) names() (out []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.Root)
	do(s.t, err)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// his checks that all of a release belongs to the software user.
func (s *site) his(url string) {
	s.t.Helper()
	do(s.t, filepath.WalkDir(s.Dir(url), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := os.Lstat(p)
		do(s.t, err)
		if owner := st.Sys().(*syscall.Stat_t); os.Getuid() == 0 && (owner.Uid != builds || owner.Gid != builds) ||
			st.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			s.t.Errorf("%s: %v, of %d:%d", p, st.Mode(), owner.Uid, owner.Gid)
		}
		return nil
	}))
}

// running counts the processes of a release.
func running(t testing.TB, dir string) int {
	t.Helper()
	all, err := proc.Find(proc.Marked(runas.For + "=" + dir))
	do(t, err)
	defer proc.Close(all)
	return len(slices.DeleteFunc(all, func(h *proc.Handle) bool { return h.Ended() }))
}

func script(t testing.TB, path, text string) string {
	t.Helper()
	do(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return path
}

// A computer is one that a real master tells what is wanted of, over HTTP, and what was reported.
type computer struct {
	*nodetest.Master
	t      testing.TB
	client *slapclient.Client
	mu     sync.Mutex
	heard  []string // of releases: what was called
	errors []string
	down   string // this call has no answer
}

func newComputer(t testing.TB) *computer {
	t.Helper()
	c := &computer{Master: nodetest.NewMaster(t, nil), t: t}
	c.client = c.Client
	c.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if strings.Contains(name, "SoftwareRelease") || name == "softwareReleaseError" {
			do(t, r.ParseForm())
			c.mu.Lock()
			c.heard, c.errors = append(c.heard, name), append(c.errors, r.PostForm["error_log"]...)
			down := c.down == name
			c.mu.Unlock()
			if down {
				panic(http.ErrAbortHandler)
			}
		}
		return false
	})
	do(t, c.Computers.Format(t.Context(), access.Anybody, &proto.Configuration{Computer: "COMP-1"}))
	return c
}

// pass has one pass made over what the master says, and returns what it heard of it.
func (c *computer) pass(s *site, o software.PassOptions) (failed []software.Failed, heard string) {
	c.t.Helper()
	told, err := c.client.Computer(c.t.Context(), "COMP-1")
	do(c.t, err)
	c.heard, c.errors = nil, nil
	failed, err = s.Pass(c.t.Context(), c.client, told, o)
	do(c.t, err)
	return failed, strings.Join(c.heard, " ")
}

func (c *computer) supply(url, state string) {
	c.t.Helper()
	do(c.t, c.client.Supply(c.t.Context(), url, "COMP-1", state))
}

// TestLife has a real buildout fail, then build, then gone. It takes three calls of buildout, each
// of seconds.
func TestLife(t *testing.T) {
	keys := computetest.Lab{Set: "node-software", Net: 73}.Run(t, "buildout", "up")
	s, c := newSite(t), newComputer(t)
	s.Buildout, s.SharedParts = keys["buildout"], []string{"/srv/shared-a", "/srv/shared-b"}
	checkout := place(t)
	url := filepath.Join(checkout, "software.cfg")
	profile := func(more string) {
		do(t, os.WriteFile(url, []byte("[buildout]\nextends = "+filepath.Dir(keys["software"])+"/base.cfg\n"+more), 0o644))
	}
	profile("[release]\nfail = asked to fail\n")
	git := exec.Command(
		"sh", "-ec",
		"git init -q . && git add . && git -c user.name=a -c user.email=a@b.example commit -qm one && git tag v1.0",
	)
	git.Dir = checkout
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("err = %v, out = %s; want no error", err, string(out))
	}
	c.supply(url, proto.Available)

	failed, heard := c.pass(s, software.PassOptions{})
	if len(failed) != 1 || heard != "buildingSoftwareRelease softwareReleaseError" || s.Done(url) {
		t.Fatalf(
			"failed = %v, heard = %q"+
				`; want len(failed) == 1 and heard == "buildingSoftwareRelease softwareReleaseError" and `+
				"!s.Done(url)",
			failed, heard,
		)
	}
	if text := c.errors[0]; !strings.HasPrefix(text, "Failed to run buildout profile in directory '"+s.Dir(url)+"':\n") ||
		!strings.Contains(text, "ValueError: asked to fail") {
		t.Errorf("the master was told %q", text)
	}
	if !s.heard("building in " + s.Dir(url)) {
		t.Error("what it printed was not shown")
	}
	profile("")
	failed, heard = c.pass(s, software.PassOptions{})
	if len(failed) != 0 || heard != "buildingSoftwareRelease availableSoftwareRelease" || !s.Done(url) || s.Light(url) {
		t.Fatalf(
			"failed = %v, heard = %q, c.errors = %q"+
				`; want len(failed) == 0 and heard == "buildingSoftwareRelease availableSoftwareRelease" `+
				"and s.Done(url) and !s.Light(url)",
			failed, heard, c.errors,
		)
	}
	if _, err := os.Stat(s.Dir(url) + "/bin/buildout-bootstrap-skipped"); err == nil {
		t.Error("the note of a bootstrap that was not made stays after a success")
	}
	for _, name := range []string{"instance.cfg", "bin/buildout", "libexec/server", ".installed.cfg"} {
		s.read(url, name)
	}
	text := s.read(url, "buildout.cfg")
	if !strings.HasPrefix(
		text,
		"[buildout]\nextends = "+url+"\nshared-part-list =\n  /srv/shared-a\n  /srv/shared-b\nbuild-time-part-list =\n# ",
	) ||
		strings.Count(text, " git revision: v1.0\n") != 1 || strings.Count(text, " git revision: v1.0-dirty\n") != 1 {
		t.Errorf("text = %q", text)
	}
	if st, err := os.Stat(s.Dir(url) + "/libexec"); err != nil || st.Mode().Perm() != 0o750 {
		t.Error("not under the mask 027", st, err)
	}
	s.his(url)
	if failed, heard = c.pass(s, software.PassOptions{}); len(failed) > 0 || heard != "" {
		t.Errorf("again: %v, %q", failed, heard)
	}
	c.supply(url, proto.Destroyed)
	if failed, heard = c.pass(s, software.PassOptions{}); len(failed) > 0 || heard != "destroyedSoftwareRelease" || len(s.names()) > 0 {
		t.Errorf("in the end: %v, %q, %q", failed, heard, s.names())
	}
}

// item is one of an archive.
func item(name string, mode int64, text string) (*tar.Header, string) {
	h := &tar.Header{Name: name, Mode: mode, Size: int64(len(text)), Typeflag: tar.TypeReg}
	if strings.HasSuffix(name, "/") {
		h.Typeflag = tar.TypeDir
	}
	return h, text
}

// pack makes an archive, by the end of its name.
func pack(t testing.TB, path string, fill func(add func(*tar.Header, string))) string {
	t.Helper()
	var plain, out bytes.Buffer
	w := tar.NewWriter(&plain)
	fill(func(h *tar.Header, text string) {
		do(t, w.WriteHeader(h))
		_, err := w.Write([]byte(text))
		do(t, err)
	})
	do(t, w.Close())
	switch {
	case strings.HasSuffix(path, "gz"):
		z := gzip.NewWriter(&out)
		_, err := z.Write(plain.Bytes())
		do(t, errors.Join(err, z.Close()))
	case strings.HasSuffix(path, "zst"):
		z, err := zstd.NewWriter(&out)
		do(t, err)
		_, err = z.Write(plain.Bytes())
		do(t, errors.Join(err, z.Close()))
	default:
		out = plain
	}
	do(t, os.WriteFile(path, out.Bytes(), 0o644))
	return path
}

const program = "#!/bin/sh\n"

// TestLight builds archives, by path and over HTTP, and a directory, installs them once, and takes
// them away.
func TestLight(t *testing.T) {
	s, c, dir := newSite(t), newComputer(t), place(t)
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer srv.Close()
	fill := func(add func(*tar.Header, string)) {
		add(item("./", 0o700, ""))
		add(item("lib/", 0o555, ""))
		add(item("lib/deep/data", 0o6666, "data"))
		add(&tar.Header{Name: "lib64", Linkname: "lib", Typeflag: tar.TypeSymlink}, "")
		add(item("lib64/more", 0o644, "more"))
		add(&tar.Header{Name: "python", Linkname: "/usr/bin/python3", Typeflag: tar.TypeSymlink}, "")
		add(item("instance", 0o755, program))
		add(&tar.Header{Name: "again", Linkname: "./instance", Typeflag: tar.TypeLink}, "")
		add(item(
			"install", 0o755,
			program+`echo "installs $HOME $PYTHONNOUSERSITE ${LC_ALL-no} ${PYTHONPATH-no}"; echo x >> installed; umask >> installed; pwd >> installed`,
		))
	}
	tree := filepath.Join(dir, "tree")
	do(t, os.MkdirAll(filepath.Join(tree, "lib"), 0o755))
	do(t, os.WriteFile(filepath.Join(tree, "lib/more"), []byte("more"), 0o4755))
	do(t, os.WriteFile(filepath.Join(tree, "instance"), []byte(program), 0o755))
	do(t, os.Symlink("/etc", filepath.Join(tree, "etc")))
	do(t, syscall.Mkfifo(filepath.Join(tree, "fifo"), 0o644))
	urls := []string{pack(t, dir+"/a.tar", fill), pack(t, dir+"/b.tar.gz", fill), pack(t, dir+"/c.tgz", fill), tree}
	pack(t, dir+"/d.tar.zst", fill)
	urls = append(urls, srv.URL+"/b.tar.gz", srv.URL+"/d.tar.zst")
	for _, url := range urls {
		c.supply(url, proto.Available)
	}
	failed, heard := c.pass(s, software.PassOptions{})
	if len(failed) > 0 || strings.Count(heard, "availableSoftwareRelease") != len(urls) {
		t.Fatalf(
			"failed = %v, heard = %q"+
				`; want len(failed) <= 0 and strings.Count(heard, "availableSoftwareRelease") == len(urls)`,
			failed, heard,
		)
	}
	for _, url := range urls {
		if s.read(url, "lib/more") != "more" || !s.Done(url) || !s.Light(url) {
			t.Errorf("%s is not as it should be", url)
		}
		s.his(url)
		if url == tree {
			if to, err := os.Readlink(s.Dir(url) + "/etc"); err != nil || to != "/etc" {
				t.Errorf(`to = %v, err = %v; want no error and to == "/etc"`, to, err)
			}
			continue
		}
		if got := s.read(url, "installed"); got != "x\n0027\n"+s.Dir(url)+"\n" ||
			s.read(url, "lib/deep/data") != "data" || s.read(url, "again") != program {
			t.Errorf(
				"%s: got = %q"+
					"; want got == \"x\\n0027\\n\"+s.Dir(url)+\"\\n\" and s.read(url, \"lib/deep/data\") == \"data\" and "+
					`s.read(url, "again") == program`,
				url, got,
			)
		}
		if !s.heard("installs " + s.Dir(url) + " true no no") {
			t.Errorf("%s: not the clean environment: %q", url, s.said)
		}
		if st, err := os.Stat(s.Dir(url) + "/lib"); err != nil || st.Mode().Perm() != 0o555 {
			t.Errorf("st = %v, err = %v; want no error and st.Mode().Perm() == 0o555", st, err)
		}
	}
	if !s.heard("fifo is neither") {
		t.Error("nothing was said of what was left out")
	}
	if _, heard = c.pass(s, software.PassOptions{}); heard != "" {
		t.Errorf("again: %q", heard)
	}
	s.Force = true
	if failed, heard = c.pass(
		s, software.PassOptions{Only: []string{urls[0], filepath.Base(s.Dir(urls[1]))}},
	); len(failed) > 0 || strings.Count(heard, "building") != 2 {
		t.Errorf("by force: %v, %q", failed, heard)
	}
	if got := s.read(urls[0], "installed"); strings.Count(got, "x") != 1 {
		t.Errorf("not anew: %q", got)
	}
	do(t, os.MkdirAll(s.Root+"/not-a-release", 0o755))
	do(t, os.MkdirAll(s.Root+"/0123456789abcdef0123456789abcdef", 0o755))
	s.Force = false
	c.supply(urls[0], proto.Destroyed)
	removed, err := s.Collect(t.Context(), urls[:4])
	if err != nil || len(removed) != 2 {
		t.Errorf("collected %q, %v", removed, err)
	}
	if failed, heard = c.pass(s, software.PassOptions{Collect: true}); len(failed) > 0 ||
		!strings.Contains(heard, "destroyedSoftwareRelease") || len(s.names()) != len(urls)-1+2 {
		t.Errorf("in the end: %v, %q, %q", failed, heard, s.names())
	}
}

// TestTold says to the master again what it did not hear, and goes on after a failure.
func TestTold(t *testing.T) {
	s, c, dir := newSite(t), newComputer(t), place(t)
	url := pack(t, dir+"/a.tar", func(add func(*tar.Header, string)) { add(item("instance", 0o755, program)) })
	c.supply(dir+"/nothing.tar", proto.Available)
	c.supply(url, proto.Available)
	c.down = "availableSoftwareRelease"
	failed, heard := c.pass(s, software.PassOptions{})
	if len(failed) != 2 || s.Done(url) || !strings.Contains(c.errors[0], "nothing.tar: no such file") {
		t.Fatalf(
			"failed = %v, heard = %q, c.errors = %q"+
				`; want len(failed) == 2 and !s.Done(url) and c.errors[0] with "nothing.tar: no such file"`,
			failed, heard, c.errors,
		)
	}
	c.down = ""
	if failed, heard = c.pass(s, software.PassOptions{}); len(failed) != 1 || !s.Done(url) {
		t.Errorf("failed = %v, heard = %q; want len(failed) == 1 and s.Done(url)", failed, heard)
	}
	var hooks []string
	hook := func(name string, err error) func(context.Context, proto.Release) error {
		return func(_ context.Context, r proto.Release) error {
			hooks = append(hooks, name+" "+filepath.Base(r.URL))
			return err
		}
	}
	failed, _ = c.pass(
		s,
		software.PassOptions{Only: []string{"none"}, Before: hook("before", errors.New("no disk")), After: hook("after", nil)},
	)
	if want := "before nothing.tar,after nothing.tar,before a.tar,after a.tar"; len(failed) != 2 ||
		strings.Join(hooks, ",") != want || c.errors[1] != "no disk" {
		t.Errorf(
			"failed = %v, hooks = %q, c.errors = %q"+
				`; want len(failed) == 2 and strings.Join(hooks, ",") == want and c.errors[1] == "no disk"`,
			failed, hooks, c.errors,
		)
	}
}
