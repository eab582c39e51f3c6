package main

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/host/program"
)

// programs is a directory with hostler, hostlerd and crcache to put before PATH, made as they are
// released: without C, and with the agent of this very tree in them, whatever `make agents` left
// here. Tests that use sandboxes need that one, and so do those that run hundreds of processes:
// with the race detector each start takes half a second, and these tests are about what is said
// and done; those of signals, labs and bad days keep it.
var programs = sync.OnceValues(func() (dir string, err error) {
	if dir = os.Getenv("HOSTLER_TEST_PROGRAMS"); dir != "" { // root made them for us
		return dir, nil
	}
	if dir, err = os.MkdirTemp("", "hostler-plain"); err != nil {
		return "", err
	}
	programsMade = dir
	if err := os.Chmod(dir, 0o755); err != nil { // for other users
		return "", err
	}
	overlay, err := freshAgent(dir)
	if err != nil {
		return "", err
	}
	if err := goBuild("-overlay", overlay, "-o", dir+"/", "../hostler", "."); err != nil {
		return "", err
	}
	for _, name := range []string{"hostler", program.Whole} {
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil { // whatever the umask
			return "", err
		}
	}
	return dir, os.Symlink("hostler", filepath.Join(dir, "crcache"))
})

var programsMade string // by programs, to be removed at the end

func goBuild(args ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-ldflags", "-s -w"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}

// freshAgent packs the agent of this tree as `make agents` does, and returns a file that makes `go
// build` see it in the place of others.
func freshAgent(dir string) (overlay string, err error) {
	overlay = filepath.Join(dir, "overlay")
	if runtime.GOOS != "linux" { // the agent is a program of Linux
		return overlay, os.WriteFile(overlay, []byte("{}"), 0o600)
	}
	program, packed := filepath.Join(dir, "agent"), filepath.Join(dir, "agent.gz")
	if err := goBuild("-o", program, "../hostler-agent"); err != nil {
		return "", err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	f, err := os.Create(packed)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := gzip.NewWriter(f)
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	agents, err := filepath.Abs("../../host/agents")
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	old, _ := filepath.Glob(filepath.Join(agents, "*.gz"))
	for _, name := range old {
		replace[name] = ""
	}
	replace[filepath.Join(agents, fmt.Sprintf("linux-%s-%d-%x.gz", runtime.GOARCH, len(data), sha256.Sum256(data)))] = packed
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// plainPath is PATH with programs first.
func plainPath(t testing.TB) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(mode), out.Close()) // whatever the umask
}
