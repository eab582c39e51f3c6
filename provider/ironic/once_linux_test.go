package ironic_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestOnce has the program itself do single rounds, as cron has: an image is written and waited
// for, then nothing is to be done, then the same is not decided again; a deploy that fails is told
// and is the exit status, and so is one that only the next run hears of.
func TestOnce(t *testing.T) {
	s := newStandin(t)
	s.images = []map[string]any{{
		"id": "i1", "name": "debian", "status": "active", "disk_format": "raw", "container_format": "bare",
		"checksum": "abc", "created_at": "2026-01-01T00:00:00Z",
	}}
	id := s.add(1, nil)
	u := &user{operator: &operator{TB: t}}
	u.settle(map[string]string{
		"hostler.conf": "[director.metal]\nscout = ironic\n[director.metal.scout]\nsource = metal\n" +
			"[director.metal.strategy]\npercentage-to-cache = 1\n",
		"sources/metal/source.conf": "type = ironic\nimage = debian\n",
	})
	u.env = append(
		u.env, "OS_AUTH_URL="+s.URL+"/v3", "OS_USERNAME=u", "OS_PASSWORD=p", "OS_PROJECT_NAME=p",
		"OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default",
	)
	once := func(status int, args ...string) (out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		cmd := u.command(append([]string{"director", "run", "--once"}, args...)...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != status {
			t.Fatalf("--once %v: exit status %d, want %d\n%s%s\nthe nodes were told %q", args, got, status, &stdout, &stderr, s.called())
		}
		return stdout.String(), stderr.String()
	}
	verbs := func() (out []string) {
		for _, call := range s.called() {
			if strings.HasPrefix(call, "PUT ") {
				out = append(out, call)
			}
		}
		return out
	}
	if out, errs := once(0); !strings.Contains(out, "+ node-1 debian (small) issued") || errs != "" ||
		s.get(id, "extra", "hostler", "state") != "cached" {
		t.Fatalf("the first: %s%s; %v", out, errs, s.get(id, "extra"))
	}
	if out, _ := once(0); !strings.HasPrefix(out, "nothing is to be done\n") || !slices.Equal(verbs(), []string{"PUT node-1 active"}) {
		t.Errorf("again: %s; it was told %v", out, verbs())
	}

	second := s.add(2, nil)
	s.mu.Lock()
	s.deployErr = "it was told to fail"
	s.mu.Unlock()
	out, errs := once(1, "--json")
	var r round
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Directives) != 1 || r.Directives[0].Node != second ||
		r.Directives[0].Result != "issued" {
		t.Errorf("of one that fails: %v: %s", err, out)
	}
	if !strings.Contains(errs, fmt.Sprintf("cache node-2 (%s): ", second)) || !strings.Contains(errs, "it was told to fail") {
		t.Errorf("of one that fails it says: %s", errs)
	}
	// it was told already
	if out, errs := once(0, "--wait", "0"); !strings.Contains(out, "left alone 1") || errs != "" {
		t.Errorf("after it: %s%s", out, errs)
	}

	// Who does not wait hears of it in the next run.
	s.add(3, nil)
	s.mu.Lock()
	s.slow = true
	s.mu.Unlock()
	if out, _ := once(0, "--wait", "0"); !strings.Contains(out, "+ node-3 debian (small) issued") {
		t.Errorf("without waiting: %s", out)
	}
	s.finish()
	if out, errs := once(1, "--wait", "0"); !strings.Contains(errs, "cache node-3 (") || !strings.Contains(errs, "it was told to fail") {
		t.Errorf("the next: %s%s", out, errs)
	}
}
