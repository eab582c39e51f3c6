package exec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	provider "github.com/hostler-project/hostler/provider/exec"
)

// TestConnectSSH has an executable that answers with a real host: reached when its key is known,
// refused when it is another's.
func TestConnectSSH(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("ssh: the lab needs root")
	}
	lab := computetest.Lab{Set: "provider-exec", Net: 62}
	kv := lab.Run(t, "ssh-hosts", "up", "1")
	t.Cleanup(func() { lab.Run(t, "ssh-hosts", "down") })
	port, err := strconv.Atoi(kv["port1"])
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other keys")
	known, err := os.ReadFile(kv["known_hosts"])
	if err != nil {
		t.Fatal(err)
	}
	// The same names with a key of nobody's.
	fields := strings.Fields(string(known))
	if err := os.WriteFile(
		other,
		fmt.Appendf(nil, "%s ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n", fields[0]),
		0o600,
	); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	connect := func(knownHosts string) (compute.Conn, error) {
		b, err := json.Marshal(map[string]any{"ssh": map[string]any{
			"host": kv["host1"], "port": port, "user": "root", "key_file": kv["key"], "known_hosts": knownHosts,
		}})
		if err != nil {
			t.Fatal(err)
		}
		return open(
			t, provider.Options{Path: script(t, "cat <<'E'\n"+string(b)+"\nE\n"), Source: "s", Dir: dir},
		).Connect(t.Context(), "s-1")
	}
	for range 2 { // the second finds its configuration written
		conn, err := connect(kv["known_hosts"])
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		exit, err := conn.Run(t.Context(), &compute.Command{Args: []string{"printf", "%s:", "a b", "$HOME"}, Stdout: &out})
		if err != nil || exit.Status() != 0 || out.String() != "a b:$HOME:" {
			t.Errorf(
				"out = %q, exit = %v, err = %v"+
					`; want no error and exit.Status() == 0 and out.String() == "a b:$HOME:"`,
				out.String(), exit, err,
			)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files were left for one configuration", len(files))
	}
	if _, err := connect(other); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("a host with another key: %v, want ErrDenied", err)
	}
}
