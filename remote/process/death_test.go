package process_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// When we are killed without a chance to clean up, what we run ends too: the command, its child's
// child, and a daemon.
func TestDyingKillsLocal(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("dying: /proc is Linux's")
	}
	for name, env := range map[string]string{"group": "", "session": "HOSTLER_TEST_TTY=1"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			const beat = `trap "" HUP TERM INT; while echo x >> "$1"; do sleep 0.1; done`
			script := fmt.Sprintf(
				"B='%s'; cd '%s'; setsid sh -c 'sh -c \"$0\" sh daemon & ' \"$B\"; set -m; sh -c 'sh -c \"$1\" sh "+
					"grandchild & wait' sh \"$B\" & set -- own; %s",
				beat, dir, beat,
			)
			if env == "" {
				// job control would take the child out of the group
				script = strings.Replace(script, "set -m; ", "", 1)
			}
			helper := exec.Command(os.Args[0])
			helper.Env = append(os.Environ(), "HOSTLER_TEST_SCRIPT="+script, env)
			in, err := helper.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = in.Close() }()
			helper.Stdout = io.Discard
			helper.WaitDelay = time.Second
			if err := helper.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = helper.Process.Kill() })
			files := []string{filepath.Join(dir, "own"), filepath.Join(dir, "grandchild"), filepath.Join(dir, "daemon")}
			ready := func() bool { // all write, and somebody watches beside the command itself
				for _, f := range files {
					if fi, err := os.Stat(f); err != nil || fi.Size() == 0 {
						return false
					}
				}
				tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", helper.Process.Pid))
				n := 0
				for _, f := range tasks {
					b, _ := os.ReadFile(f)
					n += len(strings.Fields(string(b)))
				}
				return n >= 2
			}
			for late := time.Now().Add(30 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(late) {
					t.Error("nobody watches over the command")
					break
				}
			}
			_ = helper.Process.Kill()
			_ = helper.Wait()
			for _, f := range files {
				beatsEnd(t, f)
			}
		})
	}
}
