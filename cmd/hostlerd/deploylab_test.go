package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/cli/deploycmd"
)

// nodeScripts are what scripts do to a node on bad days. Each counts its runs.
var nodeScripts = map[string]string{
	"good": "echo \"$(id -u) $HOSTLER_ARG_WHO\"",
	"bad":  "echo sorry >&2; [ -e /var/tmp/hostler-mended ] || exit 3",
	"hang": "exec sleep 1000",
	// Its own sshd: that of the shell which began its session.
	"cut":  "read -r a b c p d </proc/$PPID/stat; kill -s KILL $p; sleep 1; echo after",
	"wait": "echo begun; exec sleep 1000",
}

// nodeLab is a machine with the sources web, whose nodes are logged into as root, and plain, as a
// user with sudo.
func nodeLab(t *testing.T) (m *machine, root string) {
	m, kv := sshMachine(t)
	config := filepath.Join(m.dir, "user_config")
	text := "Host lab2\n HostName " + kv["host2"] + "\n User user\n IdentityFile " + kv["key"] + "\n UserKnownHostsFile " + kv["known_hosts"] + "\n IdentitiesOnly yes\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.source("plain", "type = ssh\nhosts = lab2\n[ssh]\nconfig-file = "+config+"\ntimeout = 5s\n")
	for name, text := range nodeScripts {
		dir := filepath.Join(m.home, ".config", "hostler", "bundles", name)
		for file, content := range map[string]string{
			"bundle.conf":        "scripts = run.sh\nfiles = /etc/hostler-lab/" + name + "\ntimeout = 60s\n[args]\nwho = me\n[script run.sh]\n" + map[bool]string{true: "timeout = 2s\n"}[name == "hang"],
			"files/" + name:      name + "\n",
			"scripts/run.sh":     "echo x >>/var/tmp/hostler-" + name + "\n" + text + "\n",
			"pubkeys/nobody.pub": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA nobody@nowhere\n",
		} {
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		for _, k := range []string{"1", "2"} {
			_, _ = labScript("ssh-hosts", "reset", k)
		}
	})
	return m, kv["root1"]
}

// TestDeploySSH deploys to real hosts, as root and by sudo, with scripts that end well and in each
// way that they should not.
func TestDeploySSH(t *testing.T) {
	m, root := nodeLab(t)
	runs := func(name string) int {
		b, _ := os.ReadFile(filepath.Join(root, "var/tmp/hostler-"+name))
		return strings.Count(string(b), "x")
	}
	// By sudo: files and scripts are root's, the key is the user's.
	out := m.must("deploy", "node-2", "-s", "plain", "-b", "good", "-t", "who=a b")
	if out != "node-2 plain-lab2 lab2\n" {
		t.Errorf("deploy: %q", out)
	}
	if got := m.must(
		"run", "node-2", "--", "sh", "-c",
		"id -un; cat /etc/hostler-lab/good; stat -c %U /etc/hostler-lab/good; tail -n 1 .ssh/authorized_keys; stat -c %U .ssh/authorized_keys",
	); got !=
		"user\ngood\nroot\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA nobody@nowhere\nuser\n" {
		t.Errorf("by sudo there is %q", got)
	}
	if log, err := os.ReadFile(filepath.Join(m.state(), "deploy", "node-2.log")); err != nil ||
		!strings.Contains(string(log), "\n0 a b\n") {
		t.Errorf("the log: %s, %v", log, err)
	}
	if got := m.must("bundle", "apply", "good", "--on", "node-2", "-t", "who=a b", "-q"); got != "" {
		t.Errorf("an apply after it: %q", got)
	}
	if got := m.must("list"); !strings.Contains(got, "node-2") {
		t.Errorf("list: %q", got)
	}
	// It says how it is reached without hostler.
	var nodes []deploycmd.NodeView
	if err := json.Unmarshal([]byte(m.must("list", "--json", "node-2")), &nodes); err != nil || len(nodes) != 1 || nodes[0].SSH == nil {
		t.Fatalf("it does not say how it is reached: %+v, %v", nodes, err)
	}
	ssh := nodes[0].SSH
	known := filepath.Join(m.dir, "known")
	if err := os.WriteFile(known, []byte(ssh.HostKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hello, err := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o",
		"UserKnownHostsFile="+known, "-o", "StrictHostKeyChecking=yes",
		"-i", ssh.Key, "-p", fmt.Sprint(ssh.Port), ssh.User+"@"+ssh.Host, "echo hello from $(id -un)").CombinedOutput()
	if err != nil || string(hello) != "hello from user\n" {
		t.Errorf("ssh by %+v: %s, %v", ssh, hello, err)
	}
	m.must("destroy", "node-2", "--yes")
	if _, _, exit := m.run("run", "node-2", "--", "true"); exit == 0 {
		t.Error("it is still there when it is destroyed")
	}

	// One that fails keeps its node, is named, and goes on where it stopped.
	_, errs, exit := m.run("deploy", "node-1", "-s", "web", "-b", "good", "-b", "bad")
	if exit == 0 || !strings.Contains(errs, "bundle bad: script run.sh: status 3: sorry") ||
		!strings.Contains(errs, "node-1: it is kept as web-lab1: hostler shell node-1, hostler destroy node-1") {
		t.Errorf("a script that fails: exit status %d, %s", exit, errs)
	}
	m.must("run", "node-1", "--", "touch", "/var/tmp/hostler-mended")
	m.must("bundle", "apply", "good", "bad", "--on", "node-1")
	if runs("good") != 1 || runs("bad") != 2 {
		t.Errorf("it ran %d times, and what failed %d", runs("good"), runs("bad"))
	}
	m.must("destroy", "node-1", "--yes")

	// One that hangs, and is destroyed for it.
	_, errs, exit = m.run("deploy", "node-1", "-s", "web", "-b", "hang", "--on-failure", "destroy")
	if exit == 0 || !strings.Contains(errs, "its time, 2s, was up") || !strings.Contains(errs, "node-1: destroyed") {
		t.Errorf("a script that hangs: exit status %d, %s", exit, errs)
	}

	// One that cuts its own connection is waited for, and not run again.
	out, errs, exit = m.run("deploy", "node-1", "-s", "web", "-b", "cut")
	if exit != 0 || !strings.Contains(errs, "after") || runs("cut") != 1 {
		t.Errorf("a script that cuts its connection: exit status %d, %s, %s; it ran %d times", exit, out, errs, runs("cut"))
	}
	m.must("destroy", "node-1", "--yes")
}

// TestDeploySSHInterrupted ends a deploy in the middle of a script: the script ends too, and the
// node is kept or destroyed as was asked.
func TestDeploySSHInterrupted(t *testing.T) {
	m, root := nodeLab(t)
	for _, policy := range []string{"keep", "destroy"} {
		cmd := m.command("deploy", "node-1", "-s", "web", "-b", "wait", "--on-failure", policy)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := ""
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if said += lines.Text() + "\n"; lines.Text() == "begun" {
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Error(err)
				}
			}
		}
		if err := cmd.Wait(); exitOf(err) != 128+int(syscall.SIGINT) {
			t.Errorf("%s: exit status %d: %s", policy, exitOf(err), said)
		}
		_, _, gone := m.run("run", "node-1", "--", "true")
		switch policy {
		case "keep":
			if !strings.Contains(said, "node-1: it is kept as web-lab1") || gone != 0 {
				t.Errorf("kept: %s", said)
			}
			if out, _, _ := m.run("run", "node-1", "--", "pgrep", "-x", "-f", "sleep 1000"); out != "" {
				t.Errorf("the script lives on: %s", out)
			}
			m.must("destroy", "node-1", "--yes")
		case "destroy":
			if !strings.Contains(said, "node-1: destroyed") || gone == 0 {
				t.Errorf("destroyed: %s", said)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(root, "var/lib/hostler/bundle/lock*")); len(left) > 0 {
			t.Errorf("%s: left there: %v", policy, left)
		}
	}
}
