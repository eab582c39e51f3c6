package process_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
)

func TestFacts(t *testing.T) {
	c := process.New(process.Options{})
	defer func() { _ = c.Close() }()
	f, err := c.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	release, _ := exec.Command("uname", "-r").Output()
	if f.OS != "linux" || f.Arch != runtime.GOARCH || f.Hostname != host || f.Kernel != strings.TrimSpace(string(release)) {
		t.Errorf("got %+v", f)
	}
	if f.Cores < 1 || f.Cores > runtime.NumCPU() || f.Memory < 16<<20 || f.Disk <= 0 || f.System == "" {
		t.Errorf("got %+v", f)
	}
	for name, path := range f.Tools {
		if fi, err := os.Stat(path); err != nil || fi.Mode()&0o111 == 0 {
			t.Errorf("%s: path = %s: err = %v; want no error and fi.Mode()&0o111 != 0", name, path, err)
		}
	}
	if f.Tools["sh"] == "" || f.Tools["tar"] == "" {
		t.Errorf("there is no sh, or no tar: %v", f.Tools)
	}
	before, err := c.Usage(t.Context())
	if err != nil || before.CPU <= 0 || before.Memory <= 0 || before.Disk <= 0 || before.Processes < 2 {
		t.Errorf("got %+v %v", before, err)
	}
	if _, err := c.Run(
		t.Context(), &compute.Command{Args: []string{"sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"}},
	); err != nil {
		t.Fatal(err)
	}
	if after, err := c.Usage(t.Context()); err != nil || after.CPU <= before.CPU {
		t.Errorf("it took no time: %+v, then %+v %v", before, after, err)
	}
	behind := process.New(process.Options{Prefix: []string{"env"}})
	defer func() { _ = behind.Close() }()
	if _, err := behind.Facts(t.Context()); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("behind a prefix: %v", err)
	}
}
