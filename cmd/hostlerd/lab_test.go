package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/computetest"
)

// labRunner runs the tests and takes down what they brought up of the lab.
type labRunner struct{ m *testing.M }

func (r labRunner) Run() int {
	code := r.m.Run()
	if sshHosts.up {
		_, _ = labScript("ssh-hosts", "down")
	}
	kubernetesLab.End()
	if programsMade != "" {
		_ = os.RemoveAll(programsMade)
	}
	return code
}

// labScript runs one of the lab's scripts and returns the keys that it printed.
func labScript(name string, args ...string) (map[string]string, error) {
	return computetest.Lab{Set: "cmd", Net: 91}.Try(name, args...)
}

// lab brings something of the lab up, or skips the test by name; where the lab is required, it
// fails.
func lab(t testing.TB, name string, args ...string) map[string]string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("%s: only root has a lab", name)
	}
	kv, err := labScript(name, args...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return kv
	case os.Getenv("HOSTLER_REQUIRE_LAB") != "":
		t.Fatalf("%s: the lab is required: %v %v", name, err, kv)
	case errors.As(err, &exit) && exit.ExitCode() == 77:
		t.Skipf("%s: %s", name, kv["skip"])
	case errors.Is(err, os.ErrNotExist):
		t.Skipf("%s: no lab here", name)
	}
	t.Fatalf("%s: err = %v", name, err)
	return nil
}

var kubernetesLab = &computetest.Kubernetes{Port: 18443}

var sshHosts struct {
	once sync.Once
	up   bool
}

func sshLab(t testing.TB) map[string]string {
	t.Helper()
	kv := lab(t, "ssh-hosts", "up", "2")
	sshHosts.once.Do(func() { sshHosts.up = true })
	return kv
}

// sshMachine is a machine with the source web over the lab's hosts.
func sshMachine(t testing.TB) (*machine, map[string]string) {
	kv := sshLab(t)
	m := newMachine(t)
	config := filepath.Join(m.dir, "ssh_config")
	text := "Host lab1\n HostName " + kv["host1"] + "\nHost lab2\n HostName " + kv["host2"] + "\nHost *\n User root\n IdentityFile " + kv["key"] +
		"\n UserKnownHostsFile " + kv["known_hosts"] + "\n IdentitiesOnly yes\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.source("web", "type = ssh\nhosts = lab1, lab2\n[ssh]\nconfig-file = "+config+"\ntimeout = 5s\n")
	m.env = append(m.env, "SSH_AUTH_SOCK=")
	return m, kv
}

// TestSSH uses machines behind ssh: commands, files and ports, over connections that the keeper
// has.
func TestSSH(t *testing.T) {
	m, kv := sshMachine(t)
	if got := m.must("acquire", "-s", "web", "2"); got != "web-lab1 web-lab2\n" {
		t.Fatalf("acquired %q", got)
	}
	if got := m.must("run", "web-lab1", "--", "sh", "-c", "hostname; pwd"); got != "lab1\n/root\n" {
		t.Errorf("run: %q", got)
	}
	if got := m.must(
		"run", "web-lab2", "-e", "A=a b", "--", "printf", "%s|", "a  b", "*", "$HOME", "", "it's",
	); got != "a  b|*|$HOME||it's|" {
		t.Errorf("arguments: %q", got)
	}
	if _, _, exit := m.run("run", "web-lab1", "--", "sh", "-c", "kill -9 $$"); exit != 137 {
		t.Errorf("a command that was killed: exit status %d", exit)
	}
	if _, _, exit := m.run("run", "web-lab1", "--", "no-such-command"); exit != 127 {
		t.Errorf("no command: exit status %d", exit)
	}
	if got := m.must("keeper", "status", "--json"); strings.Count(got, `"generation"`) != 2 {
		t.Errorf("the keeper has not two connections: %s", got)
	}
	// Killing the keeper loses nothing: the next command starts another.
	var keeper struct{ PID int }
	if err := json.Unmarshal([]byte(m.must("keeper", "status", "--json")), &keeper); err != nil || keeper.PID <= 1 {
		t.Fatalf("keeper status: %v", err)
	}
	if err := syscall.Kill(keeper.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := m.must("run", "web-lab1", "--", "hostname"); got != "lab1\n" {
		t.Errorf("run after the keeper was killed: %q", got)
	}
	file := filepath.Join(m.dir, "work", "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("line\n"), 100_000), 0o640); err != nil {
		t.Fatal(err)
	}
	m.must("cp", "file", "web-lab1:copy")
	m.must("cp", "web-lab1:copy", "web-lab2:other")
	m.must("cp", "web-lab2:other", "back")
	want, _ := os.ReadFile(file)
	if got, _ := os.ReadFile(filepath.Join(m.dir, "work", "back")); !bytes.Equal(got, want) {
		t.Errorf("a file that was copied in, between, and out has %d bytes, want %d", len(got), len(want))
	}
	if got, err := os.ReadFile(filepath.Join(kv["root1"], "root", "copy")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("on the host: %v", err)
	}
	cmd, line, _ := m.start("forward", "web-lab1", "-L", "0:"+kv["host1"]+":"+kv["port1"])
	at, _, _ := strings.Cut(line, " ")
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	banner := make([]byte, 4)
	if _, err := conn.Read(banner); err != nil || string(banner) != "SSH-" {
		t.Errorf("through the forwarded port came %q, %v", banner, err)
	}
	conn.Close()
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("forward ended with %v", err)
	}
	m.must("release", "--all")
	if got := m.must("run", "web", "--", "echo", "once"); got != "once\n" {
		t.Errorf("run on the source: %q", got)
	}
	if got := m.must("source", "test", "web"); !strings.Contains(got, "connect") {
		t.Errorf("source test: %q", got)
	}
	// one with an agent; without it, doctor finds that wrong
	m.program = lookIn(plainPath(t), "hostler")
	if got := m.must("doctor"); !strings.Contains(got, "source web") {
		t.Errorf("doctor: %q", got)
	}
	m.program = ""
	// What the keeper kept under a lease that has ended is no way in any more.
	m.must("acquire", "-s", "web")
	m.must("run", "web-lab1", "--", "true")
	m.must("release", "web-lab1")
	if _, errs, exit := m.run("run", "web-lab1", "--", "true"); exit != term.ExitNotBegun {
		t.Errorf("run after release: exit status %d, %q", exit, errs)
	}
}

// TestSSHFaults breaks the host in each way that a user can tell apart.
func TestSSHFaults(t *testing.T) {
	m, _ := sshMachine(t)
	m.must("acquire", "-s", "web", "2")
	for _, fault := range []struct{ kind, want string }{
		{"refuse", "refused"}, {"newkey", "key"}, {"deny", "denied"}, {"hang", ""},
	} {
		m.must("keeper", "stop") // its connections go on through some of the faults
		if _, err := labScript("ssh-hosts", "fault", "1", fault.kind); err != nil {
			t.Fatalf("fault %s: %v", fault.kind, err)
		}
		_, errs, exit := m.run("run", "web-lab1", "--", "true")
		if _, err := labScript("ssh-hosts", "heal", "1"); err != nil {
			t.Fatalf("heal: %v", err)
		}
		if exit != term.ExitNotBegun && exit != term.ExitLost || !strings.Contains(errs, fault.want) || !strings.Contains(errs, "lab1") {
			t.Errorf("%s: exit status %d, %q", fault.kind, exit, errs)
		}
	}
	until(t, "the host's return", func() bool {
		_, _, exit := m.run("run", "web-lab1", "--", "true")
		return exit == 0
	})
	// Contact is lost while a command runs.
	cmd, _, _ := m.start("run", "web-lab1", "--", "sh", "-c", "echo begun; sleep 600")
	if _, err := labScript("ssh-hosts", "fault", "1", "cut"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); exitOf(err) != term.ExitLost {
		t.Errorf("cut: exit status %d", exitOf(err))
	}
	_, _ = labScript("ssh-hosts", "heal", "1")
}

// TestChroot has a whole life of chroots: made, used, given back, cleaned by the keeper.
func TestChroot(t *testing.T) {
	kv := lab(t, "base-rootfs", "tiny")
	m := newMachine(t)
	m.source("jail", "type = chroot\nreserve = 1\n[chroot]\nbase = "+kv["rootfs"]+"\n")
	if got := m.must("acquire", "-s", "jail"); got != "jail-1\n" {
		t.Fatalf("acquired %q", got)
	}
	m.must("run", "jail-1", "--", "sh", "-c", "echo secret >/root/left; rm -rf /etc; test ! -e /etc")
	if _, err := os.Stat(filepath.Join(kv["rootfs"], "etc")); err != nil {
		t.Fatalf("the base has changed: %v", err)
	}
	m.must("release", "jail-1")
	until(t, "a clean instance", func() bool {
		return m.must("status", "jail", "--query", "cached") == "1\n" && !strings.Contains(m.must("status"), "cleaned")
	})
	out, errs, exit := m.run("run", "jail", "--", "sh", "-c", "test -d /etc && test ! -e /root/left && echo clean")
	if exit != 0 || out != "clean\n" {
		t.Errorf("the next user: exit status %d, %q %q", exit, out, errs)
	}
	if got := m.must("events", "jail-1"); !strings.Contains(got, "cleaned") || !strings.Contains(got, "rests_on=") {
		t.Errorf("events: %s", got)
	}
	until(t, "a clean instance", func() bool { return !strings.Contains(m.must("status"), "cleaned") })
	m.must("discard", "jail-1")
	if left, _ := filepath.Glob(filepath.Join(m.state(), "instances", "jail", "computers", "*", "*")); len(left) > 0 {
		t.Logf("left: %q", left)
	}
	if got := m.must("status", "jail"); !strings.Contains(got, "jail    0       0 ") {
		t.Errorf("status: %s", got)
	}
	m.must("acquire", "-s", "jail")
	m.must("release", "--wait", "-f", "jail-2")
	if got := m.must("status", "jail"); !strings.Contains(got, "jail    0       0 ") {
		t.Errorf("status: %s", got)
	}
}

// TestKeeperOfAnotherTree uses a host that a project's directory defines, through a keeper that was
// started elsewhere and has never read that; and goes on when the directory that it was started in
// is gone.
func TestKeeperOfAnotherTree(t *testing.T) {
	m, _ := sshMachine(t)
	elsewhere, project := filepath.Join(m.dir, "elsewhere"), filepath.Join(m.dir, "project")
	source := filepath.Join(project, ".hostler", "sources", "theirs")
	text, err := os.ReadFile(filepath.Join(m.dir, "home", ".config", "hostler", "sources", "web", "source.conf"))
	if err := errors.Join(
		err, os.Mkdir(elsewhere, 0o755), os.MkdirAll(source, 0o755),
		os.WriteFile(filepath.Join(source, "source.conf"), text, 0o644),
	); err != nil {
		t.Fatal(err)
	}
	m.must("-C", elsewhere, "acquire", "-s", "web")
	m.must("-C", elsewhere, "run", "web-lab1", "--", "true") // starts the keeper
	if err := os.Remove(elsewhere); err != nil {
		t.Fatal(err)
	}
	if _, _, exit := m.run("-C", project, "acquire", "-s", "theirs"); exit != 7 {
		t.Fatalf("a project's source with a configuration of ssh's: exit status %d", exit)
	}
	m.must("-C", project, "trust", "approve", "--yes")
	name := strings.TrimSpace(m.must("-C", project, "acquire", "-s", "theirs"))
	if got := m.must("-C", project, "run", name, "--", "hostname"); got != "lab1\n" {
		t.Errorf("run: %q", got)
	}
	if got := m.must("keeper", "status", "--json"); strings.Count(got, `"generation"`) != 2 {
		t.Errorf("it did not go by the one keeper: %s", got)
	}
	m.must("-C", project, "release", "--all")
}

// TestHooksSSH has hooks of a source of type ssh, and of a pool over it, use the program ssh.
func TestHooksSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("TestHooksSSH: no program ssh")
	}
	m, kv := sshMachine(t)
	m.source("front", "type = pool\nsources = web\n")
	m.source("port", "type = ssh\nhosts = root@"+kv["host2"]+":22\n[ssh]\nconfig-file = "+filepath.Join(m.dir, "ssh_config")+"\n")
	said := filepath.Join(m.dir, "said")
	for name, as := range map[string]string{"web": `"$1"`, "front": `"$1"`, "port": "instance"} {
		dir := filepath.Join(m.dir, "home", ".config", "hostler", "sources", name, "provision.d")
		script := "#!/bin/sh\necho $1 $(ssh -F \"$HOSTLER_SSH_CONFIG\" " + as + " hostname </dev/null) >>" + said + "\n"
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "10-ssh"), []byte(script), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	m.must("acquire", "-s", "front")
	m.must("acquire", "-s", "port")
	got, err := os.ReadFile(said)
	if want := "web-lab1 lab1\nfront-web-lab1 lab1\nport-root@" + kv["host2"] + ":22 lab2\n"; err != nil || string(got) != want {
		t.Errorf("hooks said %q, want %q: %v", got, want, err)
	}
	m.must("release", "--all", "--wait")
}

// TestKeeperInTrouble breaks the configuration of the tree that the keeper was started in. Commands
// elsewhere do without it.
func TestKeeperInTrouble(t *testing.T) {
	m, _ := sshMachine(t)
	tree := filepath.Join(m.dir, "tree", ".hostler")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	m.must("acquire", "-s", "web", "2")
	m.must("-C", filepath.Dir(tree), "run", "web-lab1", "--", "true") // starts the keeper
	if err := os.WriteFile(filepath.Join(tree, "hostler.conf"), []byte("[defaults\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := m.must("run", "web-lab2", "--", "hostname"); got != "lab2\n" {
		t.Errorf("run: %q", got)
	}
	if got := m.must("keeper", "status", "--json"); strings.Count(got, `"generation"`) != 1 {
		t.Errorf("the keeper has another connection, so this tests nothing: %s", got)
	}
	if _, errs, exit := m.run("run", "web-lab3", "--", "true"); exit != term.ExitNotBegun || !strings.Contains(errs, "no instance") {
		t.Errorf("what is not there: exit status %d, %q", exit, errs)
	}
	m.must("release", "--all")
}

// TestNoKeeper has no place for the keeper's socket: commands do without, a little slower.
func TestNoKeeper(t *testing.T) {
	m, _ := sshMachine(t)
	m.env = append(m.env, "XDG_RUNTIME_DIR="+filepath.Join(m.dir, strings.Repeat("long", 30)))
	if err := os.Mkdir(filepath.Join(m.dir, strings.Repeat("long", 30)), 0o700); err != nil {
		t.Fatal(err)
	}
	m.must("acquire", "-s", "web")
	if got := m.must("run", "web-lab1", "--", "hostname"); got != "lab1\n" {
		t.Errorf("run: %q", got)
	}
	m.must("release", "--all")
}
