package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestAPIProcess: where the controller is root, a process with a user of its own reads what comes
// by TCP, unless the controller is told otherwise. doctor says which, to the controller's own user.
func TestAPIProcess(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("api process: the default needs root")
	}
	t.Setenv("HOSTLER_TEST_API_PROCESS", "")
	line := regexp.MustCompile(`its API process: process ([0-9]+), user ([0-9]+)`)
	for way, want := range map[string]bool{"": true, "--api-process=auto": true, "--api-process=off": false} {
		o := newYard(t, nil)
		args := []string{"--no-fill", "--listen", "127.0.0.1:0"}
		if way != "" {
			args = append(args, way)
		}
		k := o.Serve(args...)
		cmd := exec.Command("hostler", "doctor")
		cmd.Env, cmd.Dir = o.vars, o.Dir
		said, _ := cmd.CombinedOutput() // what else it finds is not asked here
		got := line.FindSubmatch(said)
		if (got != nil) != want {
			t.Errorf("serve %s: got %s, want a line about the API process: %v", way, said, want)
		}
		if got != nil {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%s/status", got[1]))
			user := fmt.Sprintf("Uid:\t%[1]s\t%[1]s\t%[1]s\t%[1]s\n", got[2])
			if err != nil || string(got[2]) == "0" || !strings.Contains(string(text), user) {
				t.Errorf("serve %s: got process %s of %s (%v), want it to be user %s, and not 0", way, got[1], text, err, got[2])
			}
		}
		k.Stop()
	}
	o := newYard(t, nil)
	if out := o.Fail("serve", "--listen", "127.0.0.1:0", "--api-process=maybe"); !strings.Contains(out, "--api-process maybe") {
		t.Errorf("--api-process=maybe: got %q, want it to be named", out)
	}
}

// TestAPIProcessLacking: root of a user namespace that has no other number serves without an API
// process, and says so in the log and to doctor.
func TestAPIProcessLacking(t *testing.T) {
	by := []string{"unshare", "--user", "--map-root-user"}
	if out, err := exec.Command(by[0], append(by[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("user namespaces: %v: %s", err, out)
	}
	t.Setenv("HOSTLER_TEST_API_PROCESS", "")
	o := newYard(t, nil)
	k := o.ServeBy(by, "--no-fill", "--listen", "127.0.0.1:0")
	k.Said("level=WARN msg=.no process of its own reads what strangers send")
	cmd := exec.Command("hostler", "doctor")
	cmd.Env, cmd.Dir = o.vars, o.Dir
	said, _ := cmd.CombinedOutput() // what else it finds is not asked here
	if !strings.Contains(string(said), "its API process: none: this user namespace") {
		t.Errorf("got %s, want a line why there is no API process", said)
	}
	k.Stop()
}
