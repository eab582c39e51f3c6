package provenance

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestVerifyAgents tells an agent that was changed, one under the digest of another, and one that
// is made of other modules.
func TestVerifyAgents(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text)
	_ = z.Close()
	right := fmt.Sprintf("%x", sha256.Sum256(text))
	check := func(digest string, of *debug.BuildInfo, data []byte) string {
		t.Helper()
		got := verifyAgents(fstest.MapFS{"agents/linux-amd64-1-" + digest + ".gz": {Data: data}}, of)
		if len(got) != 1 {
			t.Fatalf("%d agents, want 1", len(got))
		}
		if diff := cmp.Diff("agent linux/amd64", got[0].Name); diff != "" {
			t.Fatalf("name of the agent (-want +got):\n%s", diff)
		}
		return got[0].Error
	}
	if got := check(right, info, b.Bytes()); got != "" {
		t.Errorf("an agent as it should be: %q, want no error", got)
	}
	if got := check(strings.Repeat("0", 64), info, b.Bytes()); !strings.Contains(got, right) {
		t.Errorf("another digest: %q, want %s in it", got, right)
	}
	if got := check(right, info, b.Bytes()[:1000]); got == "" {
		t.Error("half of one is taken for a whole one")
	}
	// this test's program is made of no other module
	of := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{GoVersion: info.GoVersion, Deps: []*debug.Module{{Path: "example.com/m", Version: version}}}
	}
	if got := differs(of("v1.0.0"), of("v0.0.1")); !strings.Contains(got, "v0.0.1") {
		t.Errorf("another module: %q, want its version in it", got)
	}
	if got := differs(of("v1.0.0"), of("v1.0.0")); got != "" {
		t.Errorf("the same module: %q, want no difference", got)
	}
}
