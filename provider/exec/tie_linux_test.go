package exec_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	provider "github.com/hostler-project/hostler/provider/exec"
)

// TestEndsWithUs kills the process that asks an executable: that ends too, and not only when it
// answers.
func TestEndsWithUs(t *testing.T) {
	const inner = "HOSTLER_TEST_CALLER"
	if path := os.Getenv(inner); path != "" {
		_ = open(t, provider.Options{Path: path, Source: "s"}).Destroy(t.Context(), "s-1")
		t.Fatal("it answered")
	}
	path := script(t, `echo $$ >"$0.pid"; exec sleep 3981`)
	caller := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
	caller.Env = append(os.Environ(), inner+"="+path)
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	for range 3000 {
		if b, _ := os.ReadFile(path + ".pid"); bytes.HasSuffix(b, []byte("\n")) {
			pid = strings.TrimSpace(string(b))
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := caller.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = caller.Wait() // killed
	if pid == "" {
		t.Fatal("the executable was not asked")
	}
	for range 3000 {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it lives")
	_ = exec.Command("kill", pid).Run()
}
