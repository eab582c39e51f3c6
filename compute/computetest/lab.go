package computetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Lab runs one of the lab's scripts, which make real things to test against. Each package has its
// own Set and Net (1 to 254), so that packages can be tested at once. $HOSTLER_LAB_CLONE, a number,
// separates clones of the project that are tested on one machine.
type Lab struct {
	Set string
	Net int
}

// Shared returns the directory that holds the lab: $HOSTLER_SHARED, else ../shared beside the
// project.
func Shared() string {
	if s := os.Getenv("HOSTLER_SHARED"); s != "" {
		return s
	}
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(filepath.Dir(dir), "shared")
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// Try runs a script of the lab and returns the keys and values that it prints.
func (l Lab) Try(script string, args ...string) (map[string]string, error) {
	if n, err := strconv.Atoi(os.Getenv("HOSTLER_LAB_CLONE")); err == nil {
		l.Set, l.Net = fmt.Sprintf("%s-%d", l.Set, n), (l.Net+100+13*n)%254+1
	}
	cmd := exec.Command(filepath.Join(Shared(), "lab", script), args...)
	cmd.Env = append(os.Environ(), "HOSTLER_LAB_SET="+l.Set, fmt.Sprintf("HOSTLER_LAB_NET=%d", l.Net))
	out, err := cmd.Output()
	kv := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			kv[k] = v
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w: %s", script, strings.Join(args, " "), err, exit.Stderr)
	}
	return kv, err
}

// Run is Try that fails the test on an error. If the lab is missing, or this machine cannot run it,
// the test is skipped; with HOSTLER_REQUIRE_LAB it fails.
func (l Lab) Run(t testing.TB, script string, args ...string) map[string]string {
	t.Helper()
	kv, err := l.Try(script, args...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return kv
	case errors.Is(err, os.ErrNotExist), errors.As(err, &exit) && exit.ExitCode() == 77:
		reason := kv["skip"]
		if reason == "" {
			reason = "the lab is not beside the project"
		}
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatalf("lab %s is required: %s", script, reason)
		}
		t.Skipf("lab %s: %s", script, reason)
	default:
		t.Fatal(err)
	}
	return nil
}
