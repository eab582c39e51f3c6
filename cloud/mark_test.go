package cloud_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestServersCarryTheDeployment: servers of an OpenStack say of which deployment they are, whatever
// base says, so that a teardown by the command line finds them too.
func TestServersCarryTheDeployment(t *testing.T) {
	dir := t.TempDir()
	clouds := filepath.Join(dir, "clouds.yaml")
	if err := os.WriteFile(
		clouds,
		[]byte("clouds:\n  one:\n    auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, password: p, project_id: x}\n"),
		0o600,
	); err != nil {
		t.Fatal(err)
	}
	store := must(sqlite.Open(context.Background(), filepath.Join(dir, "state.db"), sqlite.Options{Unsafe: true}))(t)
	defer store.Close()
	base := openstack.Options{Cloud: "one", CloudsFile: clouds, Deployment: "another", Getenv: func(string) string { return "" }}
	d := must(cloud.OpenStack(base)(
		t.Context(), cloud.Setup{Resource: "test", Store: store, Dir: dir, Log: slog.New(slog.DiscardHandler)},
	))(t)
	if got, err := cloud.DeploymentOf(t.Context(), d); got != "test" || err != nil {
		t.Errorf("servers carry the deployment %q, %v", got, err)
	}
}
