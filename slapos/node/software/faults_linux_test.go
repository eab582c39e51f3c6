package software_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/software"
)

// bootstraps is a program that stands for buildout where a test is of what is around it: its
// bootstrap leaves a bin/buildout that runs a script.
func bootstraps(t testing.TB, s *site, text string) {
	t.Helper()
	dir := place(t)
	then := script(t, filepath.Join(dir, "then"), text)
	s.Buildout = script(
		t, filepath.Join(dir, "buildout"),
		`echo "called $0 $*, HOME $HOME"; mkdir -p bin; rm -f bin/buildout; cp `+then+` bin/buildout`,
	)
}

// until waits until something is so.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to this: " + what)
		}
	}
}

// TestCalls gives buildout the words that the reference gives it, and bootstraps when the reference
// does.
func TestCalls(t *testing.T) {
	s, profiles := newSite(t), place(t)
	url := filepath.Join(profiles, "software.cfg")
	do(t, os.WriteFile(url, nil, 0o644))
	dir := s.Dir(url)
	bootstraps(t, s, `echo "then $0 $*, HOME $HOME"; [ ! -e `+profiles+`/fail ]`)
	s.NetworkCache = []string{"upload-dir-url=https://cache.example/dir", "shadir-key-file=/k"}
	words := func(debug, newest string) string {
		return debug + "-U buildout:extends-cache=" + dir + "/extends-cache buildout:directory=" + dir + " buildout:networkcache-section=networkcache networkcache:upload-dir-url=https://cache.example/dir networkcache:shadir-key-file=/k " + newest + "-c " + dir + "/buildout.cfg"
	}
	home := dir // the software user has no account
	if os.Getuid() != 0 {
		home, _ = os.UserHomeDir()
	}
	for i, round := range []struct {
		fail, force, debug, bootstraps bool
	}{{fail: true, bootstraps: true}, {fail: true}, {fail: true, bootstraps: true}, {bootstraps: true}, {}, {force: true}, {debug: true}} {
		if s.said = nil; round.fail {
			do(t, os.WriteFile(profiles+"/fail", nil, 0o644))
		} else {
			do(t, os.RemoveAll(profiles+"/fail"))
		}
		s.Force, s.Debug = round.force, round.debug
		debug, newest := "", "-N "
		if round.debug {
			debug = "-D "
		}
		if round.force {
			newest = ""
		}
		err := s.Install(t.Context(), url)
		if f, failed := errors.AsType[*software.Failure](err); failed != round.fail || err != nil && f == nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if s.heard("called "+s.Buildout+" "+words(debug, newest)+" bootstrap, HOME "+home) != round.bootstraps ||
			s.heard("called") != round.bootstraps {
			t.Errorf("round %d: %q", i, s.said)
		}
		if !s.heard("then bin/buildout " + words(debug, newest) + ", HOME " + dir) {
			t.Errorf("round %d: %q", i, s.said)
		}
	}
	s.Buildout = "/nowhere/buildout"
	if err := s.Install(t.Context(), url+"?"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("no profile: %v", err)
	}
	if err := s.Install(t.Context(), "https://software.example/software.cfg"); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.(*compute.Error).Hint, "the option buildout") {
		t.Errorf("no buildout: %v", err)
	}
}

// TestNetrc gives a build the software user's, and no older one.
func TestNetrc(t *testing.T) {
	s, home := newSite(t), place(t)
	do(t, os.WriteFile(home+"/.netrc", []byte("machine a"), 0o644))
	url := "https://software.example/software.cfg"
	do(t, s.LayAt(home, url))
	if st, err := os.Stat(s.Dir(url) + "/.netrc"); err != nil || st.Mode().Perm() != 0o600 || s.read(url, ".netrc") != "machine a" {
		t.Errorf(
			"st = %v, err = %v"+
				`; want no error and st.Mode().Perm() == 0o600 and s.read(url, ".netrc") == "machine a"`,
			st, err,
		)
	}
	do(t, os.Remove(home+"/.netrc"))
	do(t, s.LayAt(home, url))
	if _, err := os.Stat(s.Dir(url) + "/.netrc"); err == nil {
		t.Error("a stale one stays")
	}
	s.his(url)
}

// TestHangs ends a build whose asker goes, with all that it started, and builds the next time.
func TestHangs(t *testing.T) {
	s, gate := newSite(t), filepath.Join(place(t), "gate")
	url := filepath.Join(filepath.Dir(gate), "software.cfg")
	do(t, os.WriteFile(url, nil, 0o644))
	bootstraps(t, s, `[ ! -e `+gate+` ] || exit 0; trap '' TERM; setsid sleep 1000 & echo began; while :; do sleep 0.1; done`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Install(ctx, url) }()
	until(t, "the build begins", func() bool { return s.heard("began") })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || s.Done(url) {
		t.Errorf("err = %v; want error context.Canceled and !s.Done(url)", err)
	}
	until(t, "nothing of it runs", func() bool { return running(t, s.Dir(url)) == 0 })
	do(t, os.WriteFile(gate, nil, 0o644))
	do(t, s.Install(t.Context(), url))
}

// TestKilled kills who builds: what is left is ended or taken away, and the next attempt has the
// release whole.
func TestKilled(t *testing.T) {
	if at, url, ok := strings.Cut(os.Getenv("HOSTLER_TEST_BUILD"), "|"); ok {
		b := &software.Builder{Root: at, Buildout: os.Getenv("HOSTLER_TEST_BUILDOUT"), Log: func(line string) { fmt.Println(line) }}
		t.Fatal(b.Install(t.Context(), url))
	}
	dir := place(t)
	gate := filepath.Join(dir, "gate")
	fill := func(add func(*tar.Header, string)) {
		add(item("began", 0o644, ""))
		add(item("filler", 0o644, strings.Repeat("x", 1<<20)))
		add(item("instance", 0o755, program))
		add(item("install", 0o755, program+`: >middle; [ -e `+gate+` ] || exec sleep 1000`))
	}
	packed := pack(t, dir+"/a.tar", fill)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(packed)
		do(t, err)
		defer f.Close()
		if _, err := os.Stat(gate); err != nil {
			_, _ = io.CopyN(w, f, 64<<10)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = io.Copy(w, f)
	}))
	defer slow.Close()
	profile := filepath.Join(dir, "software.cfg")
	do(t, os.WriteFile(profile, nil, 0o644))
	for name, url := range map[string]string{"buildout": profile, "install": packed, "unpacking": slow.URL + "/b.tar"} {
		t.Run(name, func(t *testing.T) {
			do(t, os.RemoveAll(gate))
			s := newSite(t)
			bootstraps(t, s, `: >middle; [ -e `+gate+` ] || exec sleep 1000; echo whole >whole`)
			c := exec.Command(os.Args[0], "-test.run=^TestKilled$", "-test.timeout=2m")
			c.Env = append(
				os.Environ(), "HOSTLER_TEST_BUILD="+s.Root+"|"+url, "HOSTLER_TEST_BUILDOUT="+s.Buildout,
				"GORACE=atexit_sleep_ms=0",
			)
			do(t, c.Start())
			until(t, "it is in the middle", func() bool {
				if name == "unpacking" {
					_, err := os.Stat(filepath.Join(s.Root, ".new-"+filepath.Base(s.Dir(url)), "began"))
					return err == nil
				}
				_, err := os.Stat(filepath.Join(s.Dir(url), "middle"))
				return err == nil
			})
			do(t, c.Process.Kill())
			_ = c.Wait()
			if name != "unpacking" && running(t, s.Dir(url)) == 0 {
				t.Error("nothing was left to be ended")
			}
			if s.Done(url) {
				t.Error("it is whole already")
			}
			do(t, os.WriteFile(gate, nil, 0o644))
			do(t, s.Install(t.Context(), url))
			if n := running(t, s.Dir(url)); n > 0 || len(s.names()) != 1 {
				t.Errorf("%d run, %q", n, s.names())
			}
			if name != "buildout" {
				s.read(url, "filler")
			}
		})
	}
}

// TestOutput keeps little of a build that prints without end.
func TestOutput(t *testing.T) {
	s, profile := newSite(t), filepath.Join(place(t), "software.cfg")
	do(t, os.WriteFile(profile, nil, 0o644))
	var longest, most int
	var m runtime.MemStats
	s.Log = func(line string) {
		if longest = max(longest, len(line)); len(line) > 4000 && longest%64 == 0 {
			runtime.ReadMemStats(&m)
			most = max(most, int(m.HeapInuse))
		}
	}
	bootstraps(t, s, `head -c 40000000 /dev/zero; seq 20000; printf 'the end\377'; exit 1`)
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := int(m.HeapInuse)
	err := s.Install(t.Context(), profile)
	f, ok := errors.AsType[*software.Failure](err)
	if !ok || !strings.HasSuffix(f.Output, "20000\nthe end\uFFFD") || !strings.HasPrefix(f.Output, "(4") || len(f.Output) > 70000 {
		t.Errorf(
			"f.Output = %.200q, errors.Unwrap(err) = %v"+
				"; want ok and strings.HasSuffix(f.Output, \"20000\\nthe end\\uFFFD\") and "+
				`strings.HasPrefix(f.Output, "(4") and len(f.Output) <= 70000`,
			f.Output, errors.Unwrap(err),
		)
	}
	if longest > 4096 || most > before+32<<20 {
		t.Errorf("a line of %d, and %d MiB more of memory", longest, (most-before)>>20)
	}
}

// TestHostile takes nothing of an archive that would be outside of its release, and nothing half.
func TestHostile(t *testing.T) {
	outside := place(t)
	secret := filepath.Join(outside, "secret")
	do(t, os.WriteFile(secret, []byte("secret"), 0o600))
	if os.Getuid() == 0 {
		do(t, os.Chown(outside, builds, builds)) // he might, and yet
	}
	link := func(name, to string) (*tar.Header, string) {
		return &tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}, ""
	}
	hard := func(name, to string) (*tar.Header, string) {
		return &tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink}, ""
	}
	for name, fill := range map[string]func(add func(*tar.Header, string)){
		"leads out":            func(add func(*tar.Header, string)) { add(item("../x", 0o644, "x")) },
		"leads out ":           func(add func(*tar.Header, string)) { add(item("a/../../x", 0o644, "x")) },
		"leads out  ":          func(add func(*tar.Header, string)) { add(item(outside+"/x", 0o644, "x")) },
		"escapes":              func(add func(*tar.Header, string)) { add(link("out", outside)); add(item("out/x", 0o644, "x")) },
		"escapes ":             func(add func(*tar.Header, string)) { add(link("out", "../..")); add(item("out/x/", 0o755, "")) },
		"escapes  ":            func(add func(*tar.Header, string)) { add(link("out", outside)); add(hard("x", "out/secret")) },
		"which leads out":      func(add func(*tar.Header, string)) { add(hard("x", secret)) },
		"which leads out ":     func(add func(*tar.Header, string)) { add(hard("x", "../x")) },
		"neither a file":       func(add func(*tar.Header, string)) { add(&tar.Header{Name: "x", Typeflag: tar.TypeChar}, "") },
		"neither a file ":      func(add func(*tar.Header, string)) { add(&tar.Header{Name: "x", Typeflag: tar.TypeFifo}, "") },
		"nothing else":         func(add func(*tar.Header, string)) { add(link("./", outside)) },
		"no program":           func(add func(*tar.Header, string)) { add(item("instance", 0o644, program)) },
		"no program ":          func(add func(*tar.Header, string)) { add(link("instance", "nothing")) },
		"no program \"install": func(add func(*tar.Header, string)) { add(item("install", 0o755, program)) },
	} {
		s, dir := newSite(t), place(t)
		url := pack(t, dir+"/a.tar", fill)
		err := s.Install(t.Context(), url)
		if want := strings.TrimSuffix(strings.TrimSpace(name), " \"install"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v; want an error and err.Error() with want", name, err)
		}
		if len(s.names()) > 0 {
			t.Errorf("%s: there is %q", name, s.names())
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside: %v, %v", entries, err)
	}
	// What is allowed, and must not be followed: our own files' names as links.
	s, dir := newSite(t), place(t)
	url := pack(t, dir+"/a.tar", func(add func(*tar.Header, string)) {
		for _, name := range []string{".completed", ".hostler-release", ".completed.new", ".hostler-release.new"} {
			add(link(name, secret))
		}
		add(item("instance", 0o4755, program))
	})
	do(t, s.Install(t.Context(), url))
	s.his(url)
	if text, err := os.ReadFile(secret); err != nil || string(text) != "secret" || s.Done(url) {
		t.Errorf(
			"text = %q, err = %v, s.Done(url) = %v"+
				`; want no error and string(text) == "secret" and !s.Done(url)`,
			text, err, s.Done(url),
		)
	}
	for _, bad := range []string{"", " https://a/", "https://a/\n[x]", "bundle:none", "oci://none"} {
		if err := s.Install(t.Context(), bad); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%q: err = %v; want error compute.ErrInvalid", bad, err)
		}
	}
}

// TestVanishes says what became of a URL, without the password in it.
func TestVanishes(t *testing.T) {
	s := newSite(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/half.tar.gz":
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"))
		case "/busy.tar":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/page.tar.zst":
			_, _ = w.Write([]byte("<html>"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	at := strings.Replace(srv.URL, "://", "://me:secret@", 1)
	for path, want := range map[string]error{
		"/gone.tar": compute.ErrNotFound, "/busy.tar": compute.ErrUnavailable, "/half.tar.gz": io.ErrUnexpectedEOF,
		"/page.tar.zst": compute.ErrFailed,
	} {
		if err := s.Install(t.Context(), at+path); !errors.Is(err, want) || strings.Contains(err.Error(), "secret") || len(s.names()) > 0 {
			t.Errorf(
				"%s: err = %v, s.names() = %q"+
					`; want error want and err.Error() without "secret" and len(s.names()) <= 0`,
				path, err, s.names(),
			)
		}
	}
	srv.Close()
	if err := s.Install(t.Context(), at+"/gone.tar"); !errors.Is(err, compute.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf(`err = %v; want error compute.ErrUnavailable and err.Error() without "secret"`, err)
	}
}

// TestFull meets a disk that is full, before and in the middle.
func TestFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestFull: only root can mount a small file system")
	}
	s, dir := newSite(t), place(t)
	if err := syscall.Mount("tmpfs", s.Root, "tmpfs", 0, fmt.Sprintf("size=4m,uid=%d,gid=%d,mode=755", builds, builds)); err != nil {
		t.Skipf("TestFull: no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { do(t, syscall.Unmount(s.Root, syscall.MNT_DETACH)) })
	of := func(name string, size int) string {
		return pack(t, filepath.Join(dir, name), func(add func(*tar.Header, string)) {
			add(item("instance", 0o755, program))
			add(item("data", 0o644, strings.Repeat("x", size)))
		})
	}
	small, large := of("small.tar.gz", 1<<20), of("large.tar.gz", 8<<20)
	if err := s.Install(t.Context(), large); !errors.Is(err, compute.ErrNoCapacity) || len(s.names()) > 0 {
		t.Errorf("in the middle: %v, %q", err, s.names())
	}
	s.Free = 64 << 20
	if err := s.Install(t.Context(), small); !errors.Is(err, compute.ErrNoCapacity) || len(s.names()) > 0 {
		t.Errorf("before: %v, %q", err, s.names())
	}
	s.Free = 1 << 20
	do(t, s.Install(t.Context(), small))
	do(t, s.Remove(t.Context(), small))
	profile := filepath.Join(dir, "software.cfg")
	do(t, os.WriteFile(profile, nil, 0o644))
	bootstraps(t, s, `head -c 8000000 /dev/zero >large`)
	var f *software.Failure
	if err := s.Install(t.Context(), profile); !errors.As(err, &f) || !strings.Contains(f.Output, "No space left") {
		t.Errorf("a build: %v", err)
	}
	do(t, s.Remove(t.Context(), profile))
	if len(s.names()) > 0 {
		t.Errorf("s.names() = %q; want len(s.names()) <= 0", s.names())
	}
}

// TestRights builds nothing as root, and nothing that the software user may not read.
func TestRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestRights: only root has rights to give up")
	}
	s, dir := newSite(t), place(t)
	for _, name := range []string{"closed", "closed/in"} {
		do(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	do(t, os.WriteFile(dir+"/closed/instance", []byte(program), 0o755))
	closed := pack(t, dir+"/b.tar", func(add func(*tar.Header, string)) { add(item("instance", 0o755, program)) })
	do(t, os.Chmod(closed, 0o600))
	for _, url := range []string{closed, dir + "/closed", dir + "/closed/in"} {
		if err := s.Install(t.Context(), url); !errors.Is(err, os.ErrPermission) || len(s.names()) > 0 {
			t.Errorf("%s: err = %v, s.names() = %q; want error os.ErrPermission and len(s.names()) <= 0", url, err, s.names())
		}
	}
	if err := s.Install(t.Context(), "/"); err == nil {
		t.Error("all of the machine can be a release")
	}
	do(t, os.Chmod(closed, 0o644))
	do(t, os.Chown(s.Root, 0, 0))
	if err := s.Install(t.Context(), closed); !errors.Is(err, compute.ErrDenied) || len(s.names()) > 0 {
		t.Errorf("err = %v, s.names() = %q; want error compute.ErrDenied and len(s.names()) <= 0", err, s.names())
	}
}
