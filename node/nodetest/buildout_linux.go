package nodetest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Buildout is the lab's real buildout, and its profiles, by the names that its README.md has. lab is the path of the lab's directory. The test is skipped where this machine cannot have one.
func Buildout(t testing.TB, lab string) map[string]string {
	t.Helper()
	out, err := exec.Command(lab+"/buildout", "up").Output()
	code, exited := errors.AsType[*exec.ExitError](err)
	if (exited && code.ExitCode() == 77 || errors.Is(err, fs.ErrNotExist)) && os.Getenv("HOSTLER_REQUIRE_LAB") == "" {
		t.Skipf("no buildout here: %v %s", err, out)
	}
	Do(t, err)
	keys := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		keys[key] = value
	}
	return keys
}
