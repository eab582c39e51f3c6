package main

import (
	"bytes"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hostler-project/hostler/cli/runcmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/host"
)

// write makes a file below the machine's working directory.
func (m *machine) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.work, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		m.t.Fatal(err)
	}
}

// waits has a command refused because a tree waits for approval.
func (m *machine) waits(exit int, file, why string, args ...string) {
	m.t.Helper()
	out, errs, got := m.run(args...)
	if got != exit || !strings.Contains(errs, file) || !strings.Contains(errs, why) || !strings.Contains(errs, "hint: hostler trust ") {
		m.t.Errorf("hostler %q: exit status %d\n%s%s\nwant %d, %q and %q", args, got, out, errs, exit, file, why)
	}
}

// TestTreeTakesNames has a tree lead names of /etc/hostler to another ssh host. Nobody connects to
// that.
func TestTreeTakesNames(t *testing.T) {
	m := newMachine(t)
	if err := withOwnEtc(m, "shared", "type = ssh\nhosts = root@127.0.0.1:1\n"); err != nil {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatal(err)
		}
		t.Skipf("TestTreeTakesNames: no /etc of its own: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var reached atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			c.Close()
		}
	}()
	m.write(".hostler/sources/shared/source.conf", "type = ssh\nhosts = root@"+l.Addr().String()+"\n")
	for _, args := range [][]string{{"run", "shared", "--", "true"}, {"run", "--sync", "shared", "--", "true"}} {
		m.waits(
			term.ExitNotBegun, ".hostler/sources/shared/source.conf",
			"takes the place of this machine's own shared, of /etc/hostler/sources/shared/source.conf", args...,
		)
	}
	m.waits(7, ".hostler/sources/shared/source.conf", "takes the place of", "acquire", "-s", "shared")
	if n := reached.Load(); n > 0 {
		t.Errorf("the tree's host was connected to %d times", n)
	}
	got := m.must("trust")
	for _, want := range []string{
		"source shared: would lead to root@" + l.Addr().String() + " by ssh instead of root@127.0.0.1:1 by ssh (/etc/hostler/sources/shared/source.conf)",
		"- hosts = root@127.0.0.1:1\n", "+ hosts = root@" + l.Addr().String() + "\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("trust says\n%swithout %q", got, want)
		}
	}
	if err := os.RemoveAll(filepath.Join(m.work, ".hostler")); err != nil {
		t.Fatal(err)
	}
	if got := m.must("source", "list"); !strings.Contains(got, "shared") {
		t.Errorf("without the tree: %s", got)
	}
}

// withOwnEtc has the machine's program see an /etc with a source in /etc/hostler.
func withOwnEtc(m *machine, name, text string) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can mount one")
	}
	program, err := exec.LookPath("hostler")
	if err != nil {
		return err
	}
	upper, work := filepath.Join(m.dir, "etc"), filepath.Join(m.dir, "etcwork")
	dir := filepath.Join(upper, "hostler", "sources", name)
	wrapper := "#!/bin/sh\nexec unshare -m sh -c 'mount --make-rprivate / && mount -t overlay overlay -olowerdir=/etc,upperdir=" + upper + ",workdir=" + work + " /etc && exec \"$0\" \"$@\"' " + program + " \"$@\"\n"
	m.program = filepath.Join(m.dir, "hostler-with-etc")
	err = errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(work, 0o755), os.WriteFile(
		filepath.Join(dir, "source.conf"), []byte(text), 0o644,
	),
		os.WriteFile(m.program, []byte(wrapper), 0o755))
	if err != nil {
		return err
	}
	if out, errs, exit := m.run("source", "list"); exit != 0 || !strings.Contains(out, name) {
		return errors.New(out + errs)
	}
	return nil
}

// TestTreeSpendsNothing has a tree's sources of clouds, with the credentials of the environment: no
// request is made with them.
func TestTreeSpendsNothing(t *testing.T) {
	var asked atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer service.Close()
	m := newMachine(t)
	m.env = append(m.env, "AWS_ACCESS_KEY_ID=AKIDTEST", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=eu-west-3",
		"AWS_ENDPOINT_URL="+service.URL, "AWS_ENDPOINT_URL_EC2="+service.URL,
		"AWS_MAX_ATTEMPTS=1", "OS_AUTH_URL="+service.URL+"/v3", "OS_USERNAME=me", "OS_PASSWORD=secret", "OS_PROJECT_NAME=p",
		"OS_USER_DOMAIN_NAME=d", "OS_PROJECT_DOMAIN_NAME=d")
	for name, text := range map[string]string{
		"amazon": "type = ec2\nimage = ami-1\n", "stack": "type = openstack\nimage = x\nflavor = y\n",
		"metal": "type = ironic\nimage = x\n",
	} {
		m.write(".hostler/sources/"+name+"/source.conf", text)
		m.waits(7, ".hostler/sources/"+name+"/source.conf:1", "with your credentials", "acquire", "-s", name, "--wait", "0")
	}
	m.must("status")
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests were made", n)
	}
}

// TestForeignTreeOfRoot has root stand in another user's directory, such as /tmp with a .hostler in
// it, and in one that everybody can write.
func TestForeignTreeOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestForeignTreeOfRoot: only root can give files away")
	}
	for name, change := range map[string]func(root string) error{
		"is another user's":           func(root string) error { return os.Chown(root, 12345, 12345) },
		"can be written by everybody": func(root string) error { return os.Chmod(root, 0o777) },
	} {
		m := newMachine(t)
		m.write(".hostler/sources/s/source.conf", "type = fake\n")
		m.write(".hostler/sources/far/source.conf", "type = ssh\nhosts = root@127.0.0.1:1\n")
		if err := change(filepath.Join(m.work, ".hostler")); err != nil {
			t.Fatal(err)
		}
		m.waits(term.ExitNotBegun, ".hostler/sources/s/source.conf", name, "run", "s", "--", "true")
		m.waits(term.ExitNotBegun, ".hostler/sources/far/source.conf", name, "run", "far", "--", "true")
		m.must("trust", "approve", "--yes")
		m.must("run", "s", "--", "true")
	}
}

// TestTrustAsks has approval asked for at a terminal, and a no change nothing.
func TestTrustAsks(t *testing.T) {
	m := newMachine(t)
	m.write(".hostler/sources/x/source.conf", "type = local\nimage = \x1b[31m\u202egnp\n")
	for _, c := range []struct {
		answer string
		exit   int
	}{{"\n", 1}, {"no\n", 1}, {"y\n", 0}} {
		cmd := m.command("trust", "approve")
		screen, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		buf := make([]byte, 4096)
		screen.SetReadDeadline(time.Now().Add(30 * time.Second))
		for !strings.Contains(said.String(), "[y/N]") {
			n, err := screen.Read(buf)
			said.Write(buf[:n])
			if err != nil {
				t.Fatalf("%v: said = %q; want no error", err, said.String())
			}
		}
		if _, err := screen.WriteString(c.answer); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		screen.Close()
		if got := cmd.ProcessState.ExitCode(); got != c.exit {
			t.Errorf("%q: exit status %d", c.answer, got)
		}
		text := said.String()
		if !strings.Contains(text, "source x: is new: leads to this machine itself") || strings.ContainsAny(text, "\x1b\u202e") {
			t.Errorf("it shows %q", text)
		}
		if got := m.must("trust", "show", "--json"); strings.Contains(got, `"trusted": true`) != (c.exit == 0) {
			t.Errorf("after %q: %s", c.answer, got)
		}
	}
}

// TestTreeSettingsWait has each key of each section of a tree's hostler.conf left out, as its parts
// read them.
func TestTreeSettingsWait(t *testing.T) {
	sections := map[string]any{"store": new(host.StoreSection)}
	maps.Copy(sections, controller.Sections())
	maps.Copy(sections, runcmd.Sections())
	home, dir := t.TempDir(), t.TempDir()
	var text strings.Builder
	text.WriteString("[defaults]\nwait = 1m\n")
	var want []string
	for name, of := range sections {
		text.WriteString("[" + name + "]\n")
		keys := config.Keys(of)
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			if key != "*" {
				text.WriteString(key + " = x\n")
				want = append(want, "["+name+"] "+key)
			}
		}
	}
	if len(want) < 80 {
		t.Fatalf("only %d keys: %q", len(want), want)
	}
	file := filepath.Join(dir, ".hostler", "hostler.conf")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text.String()), 0o644)); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.LoadOptions{
		Dir: dir, Home: home, System: home, Env: func(string) string { return "" }, Kinds: whole.Kinds,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Sections) > 0 {
		t.Errorf("these count: %v", cfg.Sections)
	}
	for _, it := range cfg.NeedsTrust()[0].Items {
		want = slices.DeleteFunc(want, func(name string) bool { return name == it.Name })
	}
	if len(want) > 0 {
		t.Errorf("these do not wait: %q", want)
	}
}
