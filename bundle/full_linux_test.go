package bundle_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
)

// TestFullDisk applies to a computer whose disk has no room for a file, and with scripts that fill
// it: what failed is named, what ended well is not run again when there is room.
func TestFullDisk(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	p := newPlace(t)
	disk := p.path("disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_NOSUID, "size=2m,mode=755"); err != nil {
		t.Skipf("TestFullDisk: no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	set := conf(t, map[string]string{
		"large/bundle.conf": "files = " + disk + "/small, " + disk + "/large", "large/files/small": "x",
		"large/files/large": strings.Repeat("0123456789abcdef", 3<<16),
		"fill/bundle.conf":  "scripts = 1.sh, 2.sh, 3.sh",
		"fill/scripts/1.sh": "echo x >>" + p.path("ones") + "\ncat /dev/zero >" + disk + "/fill 2>/dev/null\necho full\n",
		"fill/scripts/2.sh": "echo x >>" + p.path("twos") + "\necho more >" + disk + "/more\n",
		"fill/scripts/3.sh": "echo x >>" + p.path("threes") + "\n",
	})
	apply := func(name string) (*bundle.Result, error) {
		return bundle.Apply(
			t.Context(), p, plan(t, set, bundle.PlanOptions{}, name),
			bundle.ApplyOptions{As: "self", State: disk + "/state"},
		)
	}
	r, err := apply("large")
	if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "No space left on device") ||
		!strings.Contains(err.Error(), "bundle large: file "+disk) {
		t.Errorf("a file that is too large: %s, %v", actions(r), err)
	}
	// the salt, run, scripts
	if left, err := os.ReadDir(disk + "/state"); err != nil || len(left) > 3 {
		t.Errorf("it has left %v, %v", left, err)
	}

	r, err = apply("fill")
	if !errors.Is(err, compute.ErrFailed) || actions(r) != "1.sh done, 2.sh failed, 3.sh pending" || r.Outcomes[0].Stdout != "full\n" {
		t.Errorf("a script that fills it: %s, %v", actions(r), err)
	}
	if err == nil || !strings.Contains(err.Error(), "bundle fill: script 2.sh") {
		t.Errorf(`err = %v; want an error and err.Error() with "bundle fill: script 2.sh"`, err)
	}
	if err := os.Remove(disk + "/fill"); err != nil {
		t.Fatal(err)
	}
	if r, err = apply("fill"); err != nil || actions(r) != "1.sh unchanged, 2.sh done, 3.sh done" {
		t.Errorf("when there is room: %s, %v", actions(r), err)
	}
	if got := p.read(t, "ones") + p.read(t, "threes"); got != "x\nx\n" {
		t.Errorf("they ran %q", got)
	}
}
