package computetest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// openStackLab is the one OpenStack of this machine, as this process found it.
var openStackLab = sync.OnceValues(func() (clouds string, err error) {
	up := filepath.Join(Shared(), "openstack", "up")
	if _, err := os.Stat(up); err != nil {
		return "", err
	}
	if os.Getenv("HOSTLER_REQUIRE_LAB") == "" { // nobody's machine gets packages because of a test
		dir := os.Getenv("OPENSTACK_LAB_DIR")
		if dir == "" {
			dir = "/var/tmp/openstack-lab"
		}
		clouds = filepath.Join(dir, "clouds.yaml")
		if _, err := os.Stat(clouds); err != nil {
			return "", fmt.Errorf("no OpenStack was started here: %s starts one", up)
		}
		c, err := net.DialTimeout("tcp", "127.0.0.1:5000", 10*time.Second)
		if err != nil {
			return "", fmt.Errorf("the OpenStack of %s does not run: %s starts it", dir, up)
		}
		return clouds, c.Close()
	}
	// -o: the programs that it starts and leaves running must not inherit the lock.
	cmd := exec.Command("flock", "-o", filepath.Join(os.TempDir(), "hostler-openstack-lab.lock"), up)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		said := string(exit.Stderr)
		return "", fmt.Errorf("%s: %w: %s", up, err, said[max(0, len(said)-2000):])
	}
	return filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "clouds.yaml"), err
})

// OpenStack returns the clouds.yaml of this machine's OpenStack for tests, with the clouds lab,
// tight and admin. All packages and clones share it: a test gives its things names of its own, and
// deletes them. If there is none the test is skipped; with HOSTLER_REQUIRE_LAB it is started, and
// stays up.
func OpenStack(t testing.TB) string {
	t.Helper()
	clouds, err := openStackLab()
	if err == nil {
		return clouds
	}
	if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
		t.Fatalf("the OpenStack lab is required: %v", err)
	}
	t.Skipf("no OpenStack lab: %v", err)
	return ""
}
