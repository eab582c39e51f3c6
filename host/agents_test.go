package host

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/hostler-project/hostler/compute"
)

// packedAgent is what `make agents` leaves, of a program that is text.
func packedAgent(t *testing.T, arch, text, digestOf string) (string, fstest.MapFS) {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(digestOf)))
	return digest, fstest.MapFS{fmt.Sprintf("agents/linux-%s-%d-%s.gz", arch, len(text), digest): {Data: b.Bytes()}}
}

func TestFindAgent(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	const text = "the program"
	digest, files := packedAgent(t, "riscv64", text, text)
	want := filepath.Join(cache, "hostler", "agents", digest, "hostler-agent")
	var all sync.WaitGroup
	for range 16 { // whoever comes first
		all.Go(func() {
			p, err := findAgentIn(files, "riscv64")
			if err != nil || p.Path != want || len(p.Args) != 0 {
				t.Errorf("got %+v %v", p, err)
			}
		})
	}
	all.Wait()
	whole := func() {
		t.Helper()
		b, err := os.ReadFile(want)
		if info, serr := os.Stat(want); err != nil || serr != nil || string(b) != text || info.Mode().Perm() != 0o755 {
			t.Errorf("got %q %v %v", b, err, serr)
		}
	}
	whole()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(want), ".*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if err := os.Truncate(want, 3); err != nil { // the disk was full when somebody copied a cache
		t.Fatal(err)
	}
	if _, err := findAgentIn(files, "riscv64"); err != nil {
		t.Error(err)
	}
	whole()
	if err := os.Chmod(want, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := findAgentIn(files, "riscv64"); err == nil {
		t.Error("a program that everybody may write is trusted")
	}
	_ = os.Chmod(want, 0o755)
	if err := os.Chmod(filepath.Dir(want), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := findAgentIn(files, "riscv64"); err == nil {
		t.Error("a directory that everybody may enter is trusted")
	}
}

func TestFindAgentWrong(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	digest, files := packedAgent(t, "riscv64", "another", "the program")
	if _, err := findAgentIn(files, "riscv64"); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(cache, "hostler", "agents", digest)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFindAgentNone(t *testing.T) {
	if _, err := findAgentIn(fstest.MapFS{}, "riscv64"); err == nil || compute.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
	p, err := findAgentIn(fstest.MapFS{}, runtime.GOARCH)
	if withCgo {
		if err == nil || compute.Hint(err) == "" {
			t.Errorf("a program with cgo: %+v %v", p, err)
		}
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("agent: it is a program of Linux")
	}
	if self, _ := os.Executable(); err != nil || p.Path != self || len(p.Args) != 1 || p.Args[0] != "agent" {
		t.Errorf("got %+v %v", p, err)
	}
}
