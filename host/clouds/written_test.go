package clouds_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestWriteSource: what was written is written anew and dropped, and what somebody changed stays.
func TestWriteSource(t *testing.T) {
	ctx, root := context.Background(), t.TempDir()
	store, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	records, rec := clouds.NewDeployments(store), &deployment.Record{Name: "web"}
	var stayed []string
	stays := func(path string) { stayed = append(stayed, path) }
	conf, script := filepath.Join("sources", "web", "source.conf"), filepath.Join("bundles", "web", "script")
	write := func(files map[string][]byte) error {
		_, err := clouds.WriteSource(ctx, records, rec, root, files, stays)
		return err
	}
	if err := write(map[string][]byte{conf: []byte("a"), script: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	if err := write(map[string][]byte{conf: []byte("c")}); err != nil || !clouds.HasSource(rec) {
		t.Fatalf("err = %v, rec = %+v; want no error and a source", err, rec)
	}
	if _, err := os.Stat(filepath.Join(root, "bundles", "web")); err == nil {
		t.Error("the directory of the script is there; want it dropped")
	}
	at := filepath.Join(root, conf)
	if err := os.WriteFile(at, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(map[string][]byte{conf: []byte("d")}); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("err = %v; want ErrConflict for a file that was changed", err)
	}
	if err := clouds.DropSource(rec, stays); err != nil || len(stayed) != 1 || stayed[0] != at {
		t.Errorf("err = %v, stayed = %v; want no error and %s", err, stayed, at)
	}
}
