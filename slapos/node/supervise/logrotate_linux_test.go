package supervise_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// TestRotatingLog has a log be begun anew while it is written, with no line lost of the last
// ones, and leaves one alone that somebody else has put aside.
func TestRotatingLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	do(t, err)
	defer out.Close()
	read := func(name string) string {
		text, err := os.ReadFile(name)
		do(t, err)
		return string(text)
	}
	w := supervise.RotatingLog(out, path, 100)
	for i := range 35 {
		_, err := fmt.Fprintf(w, "line %03d\n", i)
		do(t, err)
	}
	_, err = out.WriteString("who crashes writes here\n")
	do(t, err)
	old, now := read(path+".1"), read(path)
	if len(old) > 120 || !strings.HasSuffix(now, "line 034\nwho crashes writes here\n") ||
		!strings.Contains(old+now, "line 020\nline 021\nline 022\nline 023\nline 024\nline 025\n") {
		t.Errorf("the one before is %q, and this %q", old, now)
	}
	do(t, os.Rename(path, path+".aside"))
	for range 30 {
		_, err := fmt.Fprintln(w, "more of it")
		do(t, err)
	}
	if _, err := os.Stat(path); err == nil || strings.Count(read(path+".aside"), "more of it") != 30 {
		t.Errorf("there is %v", err)
	}
	out.Close()
	if _, err := fmt.Fprintln(w, "x"); err == nil {
		t.Error("what cannot be written is no error")
	}
}
