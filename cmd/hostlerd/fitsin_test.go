package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool is a program that a test needs, or its end by name.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s: not installed here", name)
	}
	return path
}

// outside runs another program in a machine's surroundings, and returns what it prints.
func outside(t testing.TB, m *machine, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = m.env, m.work
	var errs errorText
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Logf("%s %q: %v: %s", name, args, err, &errs)
	}
	return string(out), err
}

// reach has the programs of OpenSSH, and rsync, work with an instance that is called build.
func reach(t *testing.T, m *machine) {
	t.Helper()
	config := filepath.Join(m.work, "ssh_config")
	if err := os.WriteFile(config, []byte(m.must("ssh-config")), 0o600); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789abcdef", 40_000)
	if err := os.WriteFile(filepath.Join(m.work, "big"), []byte(big), 0o640); err != nil {
		t.Fatal(err)
	}
	check := func(what, want, name string, args ...string) {
		t.Helper()
		if got, err := outside(t, m, name, args...); err != nil || got != want {
			t.Errorf("%s: got = %q, err = %v; want no error and got == want", what, got, err)
		}
	}
	check("a command", "a  b|*|\n", "ssh", "-F", config, "build", "printf '%s|' 'a  b' '*'; echo")
	check("a terminal", "yes\r\n", "ssh", "-tt", "-F", config, "build", "test -t 0 && echo yes")
	check("scp", "", "scp", "-q", "-F", config, "big", "build:/tmp/fits-big")
	check("the file there", "640000\n", "ssh", "-F", config, "build", "wc -c </tmp/fits-big")
	check("scp back", "", "scp", "-q", "-F", config, "build:/tmp/fits-big", "back")
	if got, _ := os.ReadFile(filepath.Join(m.work, "back")); string(got) != big {
		t.Errorf("a file that was copied there and back has %d bytes", len(got))
	}
	if got, err := outside(t, m, "ssh", "-F", config, "build", "exit 5"); exitOf(err) != 5 {
		t.Errorf("a status: %q, %v", got, err)
	}
	if _, err := outside(t, m, "ssh", "-F", config, "build", "command -v rsync"); err == nil && tool(t, "rsync") != "" {
		check("rsync", "", "rsync", "-e", "ssh -F "+config, "-a", "big", "build:/tmp/fits-rsync")
		check("what rsync took there", big, "ssh", "-F", config, "build", "cat /tmp/fits-rsync")
	}
	_, _ = outside(t, m, "ssh", "-F", config, "build", "rm -f /tmp/fits-big /tmp/fits-rsync")
}

// TestSSHHosts: machines behind ssh, by the name of their leases.
func TestSSHHosts(t *testing.T) {
	m, _ := sshMachine(t)
	m.must("acquire", "-s", "web", "--name", "build")
	reach(t, m)
}

// TestSSHSandbox: a sandbox has no ssh server, and needs none.
func TestSSHSandbox(t *testing.T) {
	tool(t, "ssh")
	sandboxes(t)
	m := shownMachine(t)
	m.program = lookIn(plainPath(t), "hostler")
	m.must("acquire", "-s", "sandbox", "--name", "build")
	reach(t, m)
	// A process that its command leaves stays, as with sshd.
	config := filepath.Join(m.work, "ssh_config")
	if got, err := outside(t, m, "ssh", "-F", config, "build", "sleep 300 >/dev/null 2>&1 </dev/null & echo $!"); err != nil {
		t.Errorf("to leave a process: %v", err)
	} else if got, err := outside(t, m, "ssh", "-F", config, "build", "kill -0 "+strings.TrimSpace(got)); err != nil {
		t.Errorf("what a command left is gone: %q, %v", got, err)
	}
	m.must("release", "build")
	if _, err := outside(t, m, "ssh", "-F", config, "build", "true"); exitOf(err) != 255 {
		t.Errorf("after its release: %v", err)
	}
}

// TestAnsible: the real one, with the inventory that a script prints.
func TestAnsible(t *testing.T) {
	tool(t, "ssh")
	tool(t, "python3")
	ansible := tool(t, "ansible")
	m := newMachine(t)
	m.source("web", "type = fake\n[fake]\nrun = exec\n")
	m.env = append(
		m.env, "ANSIBLE_SSH_ARGS=", "ANSIBLE_LOCAL_TEMP="+t.TempDir(), "ANSIBLE_REMOTE_TEMP="+t.TempDir(),
		"ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8", "PATH="+plainPath(t),
	)
	m.must("acquire", "-s", "web", "--name", "one", "-l", "role=db")
	m.must("acquire", "-s", "web", "-l", "role=web")
	inventory, err := filepath.Abs("../../docs/examples/hostler-inventory")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.work, "src"), []byte("content\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "dst")
	for _, c := range []struct{ want, args string }{
		{"pong", "all -m ping"},
		{"db on web-1", "label_role_db -m command -a"},
		{`"changed": true`, "one -m copy -a src=src,dest=" + dst},
	} {
		args := append([]string{"-i", inventory}, strings.Fields(strings.ReplaceAll(c.args, ",", " "))...)
		if strings.HasSuffix(c.args, "-a") {
			args = append(args, "echo {{ hostler_labels.role }} on {{ hostler_instance }}")
		} else if len(args) > 6 { // the arguments of a module are one word
			args = append(args[:6], strings.Join(args[6:], " "))
		}
		got, err := outside(t, m, ansible, args...)
		if err != nil || !strings.Contains(got, c.want) {
			t.Errorf("ansible %q: %v\n%s", args, err, got)
		}
	}
	if got, err := os.ReadFile(dst); err != nil || string(got) != "content\n" {
		t.Errorf("what copy copied: %q, %v", got, err)
	}
}
