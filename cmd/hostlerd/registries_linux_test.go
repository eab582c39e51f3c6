package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	server "github.com/google/go-containerregistry/pkg/registry"

	"github.com/hostler-project/hostler/host/program"
)

// TestFetchesByAnother has hostler make a sandbox of an image that has to be fetched. It does not
// know registries, and needs hostlerd for that, but for nothing that is here.
func TestFetchesByAnother(t *testing.T) {
	busybox, static := staticBusybox()
	if !static && os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
		t.Fatal("TestFetchesByAnother: no static busybox, which is required")
	} else if !static {
		t.Skip("TestFetchesByAnother: no static busybox")
	}
	w := httptest.NewServer(server.New(server.Logger(log.New(io.Discard, "", 0))))
	defer w.Close()
	far := strings.TrimPrefix(w.URL, "http://") + "/team/tool"
	m := newMachine(t)
	root, archive := filepath.Join(m.dir, "root"), filepath.Join(m.dir, "tool.tar")
	if err := rootfs(root, busybox); err != nil {
		t.Fatal(err)
	}
	if err := ociArchive(root, archive); err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "hostler")
	if err := copyFile(lookIn(plainPath(t), "hostler"), alone, 0o755); err != nil {
		t.Fatal(err)
	}
	m.program = lookIn(plainPath(t), program.Whole)
	m.must("image", "pull", "-q", "oci-archive:"+archive)
	m.must("image", "export", "oci-archive:"+archive, far+":latest")
	m.must("image", "remove", "oci-archive:"+archive)
	m.source("box", "type = sandbox\n[sandbox]\nimage = "+far+"\nnetwork = none\n")
	m.source("lost", "type = sandbox\n[sandbox]\nimage = "+far+":2\nnetwork = none\n")
	m.program = alone
	if _, errs, exit := m.run("run", "box", "--", "true"); exit == 0 || !strings.Contains(errs, program.Whole) {
		t.Errorf("alone: exit status %d, %q, want that %s is missing", exit, errs, program.Whole)
	}
	m.program = lookIn(plainPath(t), "hostler")
	if _, errs, exit := m.run("run", "lost", "--", "true"); exit == 0 || !strings.Contains(errs, far+":2: not found: ") ||
		!strings.Contains(errs, "hint: no such image or tag there") {
		t.Errorf("a tag that is not there: exit status %d, %q", exit, errs)
	}
	if got := m.must("run", "box", "--", "sh", "-c", "echo $MADE"); got != "by a test\n" {
		t.Errorf("fetched by %s: got %q", program.Whole, got)
	}
	m.program = alone
	if got := m.must("run", "box", "--", "sh", "-c", "echo $MADE"); got != "by a test\n" {
		t.Errorf("it is here, and hostler is alone: got %q", got)
	}
}
