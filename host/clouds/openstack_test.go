package clouds

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestServersCarryTheDeployment: servers of an OpenStack say of which deployment they are, whatever
// base says, so that a teardown by the command line finds them too.
func TestServersCarryTheDeployment(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "clouds.yaml")
	if err := os.WriteFile(
		file,
		[]byte("clouds:\n  one:\n    auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, password: p, project_id: x}\n"),
		0o600,
	); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c, err := OpenStack(openstack.Options{
		Cloud: "one", CloudsFile: file, Deployment: "another", Getenv: func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	d := deployment.Options{Name: "test", Installation: "i", Keys: dir, Store: NewDeployments(store)}
	if o, err := c.(*stack).serversOptions(t.Context(), d, Login{}); o.Deployment != "test" || err != nil {
		t.Errorf("the deployment that servers carry = %q, %v; want test", o.Deployment, err)
	}
}
