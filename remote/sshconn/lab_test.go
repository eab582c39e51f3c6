package sshconn_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// sshHosts are the lab's two ssh hosts, brought up by the first test that asks and taken down when
// all tests have run.
type sshHosts struct {
	once sync.Once
	kv   map[string]string
	up   bool
}

var hosts sshHosts

// TestMain takes the lab down in the end.
func TestMain(m *testing.M) {
	_ = os.Unsetenv("SSH_AUTH_SOCK")
	code := m.Run()
	if hosts.up {
		_, _ = sshHostsScript("down")
	}
	os.Exit(code)
}

func sshHostsScript(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(sharedDir(), "lab", "ssh-hosts"), args...)
	cmd.Env = append(os.Environ(), "HOSTLER_LAB_SET=remote-ssh", "HOSTLER_LAB_NET=21")
	out, err := cmd.Output()
	return string(out), err
}

func sharedDir() string {
	if s := os.Getenv("HOSTLER_SHARED"); s != "" {
		return s
	}
	dir, _ := os.Getwd()
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, "..", "shared")
}

// sshLab returns the keys of the lab, or skips.
func sshLab(t testing.TB) map[string]string {
	t.Helper()
	hosts.once.Do(func() {
		if os.Geteuid() != 0 {
			return
		}
		out, err := sshHostsScript("up", "2")
		hosts.kv = map[string]string{}
		for line := range strings.Lines(out) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			hosts.kv[k] = v
		}
		hosts.up = err == nil
	})
	switch {
	case hosts.up:
		return hosts.kv
	case os.Getenv("HOSTLER_REQUIRE_LAB") != "":
		t.Fatalf("ssh-hosts: the lab is required: %v", hosts.kv)
	}
	t.Skipf("ssh-hosts: no lab here: %s", hosts.kv["skip"])
	return nil
}

// fault breaks a host until the end of the test.
func fault(t testing.TB, host int, kind string) map[string]string {
	t.Helper()
	out, err := sshHostsScript("fault", fmt.Sprint(host), kind)
	if err != nil {
		t.Fatalf("fault %s: %v", kind, err)
	}
	t.Cleanup(func() { heal(t, host) })
	kv := map[string]string{}
	for line := range strings.Lines(out) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		kv[k] = v
	}
	return kv
}

func heal(t testing.TB, host int) {
	t.Helper()
	if _, err := sshHostsScript("heal", fmt.Sprint(host)); err != nil {
		t.Errorf("heal: %v", err)
	}
}

// sshConfig writes a configuration for the test; LAB1 and LAB2 stand for the addresses, KEY and
// KNOWN for the files.
func sshConfig(t testing.TB, kv map[string]string, text string) string {
	t.Helper()
	text = strings.NewReplacer("LAB1", kv["host1"], "LAB2", kv["host2"], "KEY", kv["key"], "KNOWN", kv["known_hosts"]).Replace(text)
	name := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func dialSSH(t testing.TB, o sshconn.Options) *sshconn.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := sshconn.Dial(ctx, o)
	if err != nil {
		t.Fatalf("DialSSH(%s): %v (%s)", o.Host, err, compute.Hint(err))
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConnSSHRoot(t *testing.T) {
	kv := sshLab(t)
	computetest.Conn(t, computetest.ConnOptions{
		New: func(t *testing.T) compute.Conn {
			return dialSSH(t, sshconn.Options{Host: "lab1", ConfigFile: kv["ssh_config"], Owner: true})
		},
		Dir: "/tmp", Shell: true, Owner: true, Marked: true,
		Skip: map[string]string{"Nanoseconds": "SFTP has whole seconds"},
	})
}

func TestConnSSHUser(t *testing.T) {
	kv := sshLab(t)
	computetest.Conn(t, computetest.ConnOptions{
		New: func(t *testing.T) compute.Conn {
			return dialSSH(t, sshconn.Options{Host: "lab1", User: "user", ConfigFile: kv["ssh_config"], Owner: true})
		},
		Dir: "/tmp", Shell: true, Marked: true,
		Skip: map[string]string{"Nanoseconds": "SFTP has whole seconds"},
	})
}

func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}
