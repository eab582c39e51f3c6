package cloud_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
)

// real is a server whose commands run on this machine, in a home directory of its own.
func real(t *testing.T, change func(*sky, *cloud.Options)) (process, *cloud.Server, string) {
	s, dir := newSky(), t.TempDir()
	s.options.Exec, s.options.Dir, s.options.State = "home", dir, "memory"
	p := start(t, s, state(t), func(opt *cloud.Options) {
		if change != nil {
			change(s, opt)
		}
	})
	t.Cleanup(func() { p.stop(t) })
	srv := must(p.Spawn(
		t.Context(),
		cloud.Order{OS: "img", Flavor: "large", DestroyScript: "#!/bin/sh\necho bye >\"" + dir + "/bye\"\n"},
	))(t)
	return p, srv, dir
}

// TestFiles: files go over with their modes and times, and come back; odd names and quotes break
// nothing.
func TestFiles(t *testing.T) {
	_, srv, _ := real(t, nil)
	ctx := t.Context()
	here := must(srv.HomeDir(ctx))(t)
	dir := t.TempDir()
	odd := filepath.Join(dir, "it's a, \"file\": $HOME")
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := errors.Join(os.WriteFile(odd, []byte("content"), 0o754), os.Chmod(odd, 0o754), os.Chtimes(odd, when, when)); err != nil {
		t.Fatal(err)
	}
	err := srv.CopyOver(
		ctx,
		[]cloud.File{{Local: odd, Remote: "~/a/b c/it's"}, {Local: filepath.Join(dir, "none"), Remote: "x", Optional: true}},
	)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(here, "a/b c/it's"))
	if err != nil || info.Mode().Perm() != 0o754 || !info.ModTime().Equal(when) {
		t.Errorf("info = %v, err = %v; want no error and info.Mode().Perm() == 0o754 and info.ModTime().Equal(when)", info, err)
	}
	if err := srv.CopyOver(ctx, []cloud.File{{Local: filepath.Join(dir, "none"), Remote: "x"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
	back := filepath.Join(dir, "back")
	if err := srv.DownloadFile(ctx, "a/b c/it's", back); err != nil {
		t.Fatal(err)
	}
	info, err = os.Stat(back)
	if text, _ := os.ReadFile(back); string(text) != "content" || err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf(
			"text = %q, info = %v, err = %v"+
				`; want string(text) == "content" and no error and info.Mode().Perm() == 0o600`,
			text, info, err,
		)
	}
	for _, bad := range []string{"a", "nothing"} {
		if err := srv.DownloadFile(ctx, bad, back); err == nil {
			t.Errorf("%s was downloaded", bad)
		}
	}
	if err := srv.DownloadFile(ctx, "a/b c/it's", filepath.Join(dir, "no/dir")); err == nil {
		t.Error("into a directory that there is not")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".download-*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := srv.CreateFile(ctx, "secret", "s"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(here, "s")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("info = %v, err = %v; want no error and info.Mode().Perm() == 0o600", info, err)
	}
	if err := errors.Join(srv.MkDir(ctx, "x/y'z"), srv.MkDir(ctx, "x/y'z")); err != nil {
		t.Error(err)
	}
	zone, err := srv.GetTimeZone(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, want := time.Now().Zone()
	if _, got := time.Now().In(zone).Zone(); got != want {
		t.Errorf("its zone is %d seconds from UTC, and ours %d", got, want)
	}
}

func TestParseFiles(t *testing.T) {
	want := []cloud.File{{Local: "~/.s3cfg", Optional: true}, {Local: "/a", Remote: "~/b", Optional: true}}
	if got := cloud.ParseFiles("~/.s3cfg, /a:~/b,"); !slices.Equal(got, want) {
		t.Errorf("got = %+v; want got == want", got)
	}
}

// TestRunCmd: outputs are kept apart, a status is an error, quotes and signals are what they are,
// and what runs ends with its context.
func TestRunCmd(t *testing.T) {
	_, srv, _ := real(t, nil)
	ctx := t.Context()
	out, bad, err := srv.RunCmd(ctx, `printf '%s' "it's"; echo oops >&2`, false)
	if out != "it's" || bad != "oops\n" || err != nil {
		t.Errorf("out = %q, bad = %q, err = %v; want out == \"it's\" and bad == \"oops\\n\" and no error", out, bad, err)
	}
	_, _, err = srv.RunCmd(ctx, "echo no >&2; exit 3", false)
	var exit *cloud.ExitError
	if !errors.As(err, &exit) || exit.Exit.Code != 3 || exit.Stderr != "no" {
		t.Errorf(`err = %v; want errors.As(err, &exit) and exit.Exit.Code == 3 and exit.Stderr == "no"`, err)
	}
	limited, cancel := context.WithCancel(ctx)
	here := must(srv.HomeDir(ctx))(t)
	ended := make(chan error, 1)
	go func() {
		_, _, err := srv.RunCmd(limited, "echo $$ >pid; exec sleep 1000", false)
		ended <- err
	}()
	eventually(t, "it starts", func() bool {
		b, _ := os.ReadFile(filepath.Join(here, "pid"))
		return strings.HasSuffix(string(b), "\n")
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v; want error context.Canceled", err)
	}
	if _, _, err := srv.RunCmd(ctx, "kill -0 $(cat pid)", false); err == nil {
		t.Error("the command runs on though its context has ended")
	}
}

// TestBackground: a background command goes on, whatever is quoted in it, and one that fails at
// once is no success.
func TestBackground(t *testing.T) {
	_, srv, _ := real(t, nil)
	ctx := t.Context()
	here := must(srv.HomeDir(ctx))(t)
	pid, _, err := srv.RunCmd(ctx, `echo "it's" >ran; until [ -e stop ]; do sleep 0.1; done; echo end >ended`, true)
	if err != nil || strings.TrimSpace(pid) == "" {
		t.Fatalf(`pid = %q, err = %v; want no error and strings.TrimSpace(pid) != ""`, pid, err)
	}
	eventually(t, "it runs", func() bool { b, _ := os.ReadFile(filepath.Join(here, "ran")); return string(b) == "it's\n" })
	if err := srv.CreateFile(ctx, "", "stop"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it ends", func() bool { _, err := os.Stat(filepath.Join(here, "ended")); return err == nil })
	if _, _, err := srv.RunCmd(ctx, "exit 7", true); err == nil {
		t.Error("a background command that fails at once is a success")
	}
}

// TestReady: files, then the script, and its failure told with what it said.
func TestReady(t *testing.T) {
	p, srv, dir := real(t, nil)
	ctx := t.Context()
	here := must(srv.HomeDir(ctx))(t)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := srv.WaitUntilReady(ctx, []cloud.File{{Local: file, Remote: "~/f"}}, "#!/bin/sh\ncat f >copy; echo \"$0\" >self"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(here, "copy")); string(b) != "1" || err != nil {
		t.Errorf("the script did not find the file: %q, %v", b, err)
	}
	self, _ := os.ReadFile(filepath.Join(here, "self"))
	if _, err := os.Stat(strings.TrimSpace(string(self))); len(self) == 0 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the script %q is still there: %v", self, err)
	}
	err := srv.WaitUntilReady(ctx, nil, "#!/bin/sh\necho wrong >&2; exit 4")
	if err == nil || !strings.Contains(err.Error(), "script failed: ") || !strings.Contains(err.Error(), "STDERR:\nwrong") {
		t.Errorf("err = %v; want an error and err.Error() with \"script failed: \" and err.Error() with \"STDERR:\\nwrong\"", err)
	}
	if err := srv.WaitUntilReady(ctx, []cloud.File{{Local: "/does/not/exist", Remote: "x"}}, ""); err == nil ||
		!strings.Contains(err.Error(), "files failed to upload: ") {
		t.Errorf(`err = %v; want an error and err.Error() with "files failed to upload: "`, err)
	}
	if srv.Destroyed() {
		t.Error("it is gone, and nobody can look at it")
	}
	cancelled, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- srv.WaitUntilReady(cancelled, nil, "#!/bin/sh\n: >begun; exec sleep 1000") }()
	eventually(t, "the script runs", func() bool { _, err := os.Stat(filepath.Join(here, "begun")); return err == nil })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was cancelled") {
		t.Errorf(`err = %v; want error context.Canceled and err.Error() with "was cancelled"`, err)
	}

	// A command that runs when the server is destroyed ends with an error, and the script of
	// destruction is run.
	go func() {
		_, _, err := srv.RunCmd(ctx, ": >busy; exec sleep 1000", false)
		ended <- err
	}()
	eventually(t, "the command runs", func() bool { _, err := os.Stat(filepath.Join(here, "busy")); return err == nil })
	if err := p.DestroyServer(ctx, srv.Name); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, compute.ErrNotFound) || !strings.Contains(err.Error(), "destroyed") {
		t.Errorf(`err = %v; want error compute.ErrNotFound and err.Error() with "destroyed"`, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "bye")); string(b) != "bye\n" || err != nil {
		t.Errorf("the script of destruction did not run: %q, %v", b, err)
	}
}

// TestScriptLimit: a script that does not end is ended.
func TestScriptLimit(t *testing.T) {
	_, srv, _ := real(t, func(_ *sky, o *cloud.Options) { o.Timers.Script = time.Second })
	err := srv.WaitUntilReady(t.Context(), nil, "#!/bin/sh\necho slow >&2; exec sleep 1000")
	if !errors.Is(err, compute.ErrTimeout) || !strings.Contains(err.Error(), "failed to complete within 1s") {
		t.Errorf(`err = %v; want error compute.ErrTimeout and err.Error() with "failed to complete within 1s"`, err)
	}
}

// TestDenied: a key that is refused is told soon, and not after minutes.
func TestDenied(t *testing.T) {
	s := newSky()
	s.options.Fail = func(op string, id compute.ID) error {
		if op == "connect" {
			return &compute.Error{Op: op, ID: id, Kind: compute.ErrDenied, Err: errors.New("the host refuses the key")}
		}
		return nil
	}
	bubble(t, s, nil, func(t *testing.T, p process) {
		srv := must(p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"}))(t)
		began := time.Now()
		err := srv.WaitUntilReady(t.Context(), nil, "")
		if took := time.Since(began); !errors.Is(err, compute.ErrDenied) || took > 12*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestReconnects: a new server that is not reached yet is waited for, and one that was reached
// before is not.
func TestReconnects(t *testing.T) {
	s := newSky()
	down := true
	s.options.Fail = func(op string, id compute.ID) error {
		if op == "connect" && down {
			return &compute.Error{Op: op, ID: id, Kind: compute.ErrUnavailable, Err: errors.New("no route to host")}
		}
		if op == "run" && down {
			return &compute.Error{Op: op, ID: id, Kind: compute.ErrLost, Err: errors.New("the link is gone")}
		}
		return nil
	}
	bubble(t, s, nil, func(t *testing.T, p process) {
		ctx := t.Context()
		began := time.Now()
		srv := must(p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t)
		if err := srv.WaitUntilReady(ctx, nil, ""); !errors.Is(err, compute.ErrUnavailable) {
			t.Error(err)
		}
		if took := time.Since(began); took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("gave up after %v", took)
		}
		down = false
		if _, _, err := srv.RunCmd(ctx, "x", false); err != nil {
			t.Fatal(err)
		}
		down = true
		if _, _, err := srv.RunCmd(ctx, "x", false); !errors.Is(err, compute.ErrLost) {
			t.Errorf("err = %v; want error compute.ErrLost", err)
		}
		began = time.Now()
		if _, _, err := srv.RunCmd(ctx, "x", false); !errors.Is(err, compute.ErrUnavailable) || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		down = false
		if _, _, err := srv.RunCmd(ctx, "x", false); err != nil || !srv.Alive(ctx, true) {
			t.Errorf("it does not heal: %v", err)
		}
	})
}

// TestLocalhost: the machine that we run on.
func TestLocalhost(t *testing.T) {
	srv := must(cloud.LocalhostServer("linux", "", nil, "127.0.0.0/8"))(t)
	if srv.Name != "localhost" || !strings.HasPrefix(srv.IP, "127.") || srv.Flavor.Cores < 1 || srv.Flavor.RAM < 1 {
		t.Errorf(
			"srv = %+v"+
				`; want srv.Name == "localhost" and strings.HasPrefix(srv.IP, "127.") and srv.Flavor.Cores `+
				">= 1 and srv.Flavor.RAM >= 1",
			srv,
		)
	}
	if out, _, err := srv.RunCmd(t.Context(), "echo hi", false); out != "hi\n" || err != nil {
		t.Errorf("out = %q, err = %v; want out == \"hi\\n\" and no error", out, err)
	}
	if srv.HasSpaceFor(1, 1, 0) != srv.Flavor.Cores || !srv.Allocate(1, 1, 0) {
		t.Error("nothing fits")
	}
	if _, err := cloud.LocalhostServer("linux", "", nil, "203.0.113.0/24"); err == nil ||
		!strings.Contains(err.Error(), "no subnet matches your supplied CIDR") {
		t.Error(err)
	}
	if err := srv.Destroy(t.Context()); err != nil || !srv.Destroyed() {
		t.Error(err)
	}
}

func TestEnv(t *testing.T) {
	required, maybe, all := must(cloud.RequiredEnv("openstack"))(t), must(cloud.MaybeEnv("openstack"))(t), must(cloud.AllEnv("openstack"))(t)
	if strings.Join(required, " ") != "OS_AUTH_URL OS_USERNAME OS_PASSWORD OS_REGION_NAME" || len(maybe) != 10 ||
		!slices.Equal(all, slices.Concat(required, maybe)) {
		t.Errorf(
			"required = %q, maybe = %q, all = %q"+
				`; want strings.Join(required, " ") == "OS_AUTH_URL OS_USERNAME OS_PASSWORD `+
				`OS_REGION_NAME" and len(maybe) == 10 and all == slices.Concat(required, maybe)`,
			required, maybe, all,
		)
	}
	if _, err := cloud.AllEnv("cloudy"); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "unknown provider name") {
		t.Error(err)
	}
	err := cloud.MissingEnv("openstack", func(name string) string { return map[string]string{"OS_USERNAME": "me"}[name] })
	if !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "missing environment variables: OS_AUTH_URL, OS_PASSWORD, OS_REGION_NAME") {
		t.Error(err)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute until %s", what)
		}
	}
}
