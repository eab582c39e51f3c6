package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hostler-project/hostler/compute/computetest"
)

// outsideLab finds the lab's OpenStack, which is in the network of the process that started these
// tests: enter are the words that run a command there. clouds is its clouds.yaml.
func outsideLab(t *testing.T) (clouds string, enter []string) {
	t.Helper()
	if os.Getuid() == 0 {
		enter = []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", os.Getppid()), "--"}
	}
	required := os.Getenv("HOSTLER_REQUIRE_LAB") != ""
	missing := func(format string, args ...any) {
		t.Helper()
		if required {
			t.Fatalf("the OpenStack lab is required: "+format, args...)
		}
		t.Skipf("no OpenStack lab: "+format, args...)
	}
	up := filepath.Join(computetest.Shared(), "openstack", "up")
	if _, err := os.Stat(up); err != nil {
		missing("%v", err)
	}
	if required { // as computetest.OpenStack does it
		words := append(slices.Clone(enter), "flock", "-o", filepath.Join(os.TempDir(), "hostler-openstack-lab.lock"), up)
		out, err := exec.Command(words[0], words[1:]...).Output()
		if err != nil {
			missing("%v", err)
		}
		return filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "clouds.yaml"), enter
	}
	clouds = filepath.Join(cmp.Or(os.Getenv("OPENSTACK_LAB_DIR"), "/var/tmp/openstack-lab"), "clouds.yaml")
	if _, err := os.Stat(clouds); err != nil {
		missing("%s starts one", up)
	}
	words := append(slices.Clone(enter), "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/5000")
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		missing("it does not run: %v %s", err, out)
	}
	return clouds, enter
}

// TestCloud plays the scripts of hostler cloud against the lab's OpenStack. These tests have a
// network of their own, so its commands run in that of the lab.
func TestCloud(t *testing.T) {
	clouds, words := outsideLab(t)
	enter := strings.Join(append(words, ""), " ")
	scripts(t, "testdata/cloud", true, func(env *testscript.Env) {
		env.Setenv("OS_CLIENT_CONFIG_FILE", clouds)
		env.Setenv("OS_CLOUD", "lab")
		env.Setenv("NAME", fmt.Sprintf("script-%d", os.Getpid()))
		for name, verb := range map[string]string{"hostler": "", "cloud": "cloud "} {
			extra := ""
			if verb != "" {
				// nothing leaves this machine
				extra = `case $1 in deploy|teardown) set -- "$@" --metadata-service none;; esac; `
			}
			text := "#!/bin/sh\n" + extra + "exec " + enter + "hostler " + verb + `"$@"` + "\n"
			if err := os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		env.Defer(func() { // of a script that failed
			for _, name := range []string{env.Getenv("NAME"), env.Getenv("NAME") + "-h"} {
				cmd := exec.Command(filepath.Join(env.WorkDir, "cloud"), "teardown", "--force", "--resource-name", name)
				cmd.Env = env.Vars
				_ = cmd.Run()
			}
		})
	})
}
