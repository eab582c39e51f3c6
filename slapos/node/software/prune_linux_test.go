package software_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/software"
)

// hash is the nth of a test.
func hash(n int) string { return fmt.Sprintf("%032x", 0xabc0000+n) }

// lies puts files into a directory.
func lies(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		do(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			do(t, os.Symlink(to, path))
			continue
		}
		do(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// TestPrune takes away what neither a release, nor a nested node's, nor a part that stays, names in
// any of the ways.
func TestPrune(t *testing.T) {
	dir := place(t)
	shared, first := dir+"/shared", dir+"/first"
	lies(t, dir, map[string]string{
		"soft/a/.installed.cfg":         "[x]\nlocation = " + shared + "/installed/" + hash(1) + "\n",
		"soft/a/bin/tool":               "#!" + shared + "/script/" + hash(2) + "/bin/python\n",
		"soft/a/bin/python":             "-> " + shared + "/linked/" + hash(3) + "/bin/python",
		"soft/a/bin/itself":             "-> itself",
		"soft/a/parts/x":                shared + "/unlooked/" + hash(9),
		"soft/b":                        "a file",
		"more/c/.installed.cfg":         strings.Repeat("f", 61) + hash(4) + "0000",
		"first/up/" + hash(5) + "/.sig": "uses " + hash(5),
		"first/up/" + hash(6) + "/x":    "uses " + hash(9),
		"shared/installed/" + hash(1) + "/.buildout.signature": "uses " + hash(7),
		"shared/script/" + hash(2) + "/x":                      "",
		"shared/linked/" + hash(3) + "/x":                      "",
		"shared/longer/" + hash(4) + "/x":                      "",
		"shared/other/" + hash(5) + "/x":                       "",
		"shared/deep/" + hash(7) + "/x":                        "",
		"shared/nested/" + hash(8) + "/x":                      "",
		"shared/unlooked/" + hash(9) + "/.sig":                 hash(9) + " " + hash(10),
		"shared/chain/" + hash(10) + "/.sig":                   hash(11),
		"shared/chain/" + hash(11) + "/ro/x":                   "",
		"shared/chain/" + hash(12) + "/.sig":                   "-> " + hash(12),
		"shared/README":                                        "",
		"shared/odd/not-a-hash/x":                              "",
		"inst/p0/srv/slapos.cfg":                               "[slapos]\nsoftware_root = " + dir + "/inst/p0/soft\n",
		"inst/p0/soft/d/.installed.cfg":                        hash(8),
		"inst/p1/slapos.cfg":                                   "broken",
		"inst/p2/slapos.cfg":                                   "[slapos]\nsoftware_root = " + dir + "/inst/p2/soft\n",
		"inst/p2/soft/d/bin":                                   "-> bin",
		"inst/p2/soft/e/bin/device":                            "-> " + dir + "/device",
	})
	do(t, os.Chmod(shared+"/chain/"+hash(11)+"/ro", 0o555))
	do(t, syscall.Mkfifo(dir+"/soft/a/bin/fifo", 0o644))
	// as a device for which it is something that it is opened
	do(t, syscall.Mkfifo(dir+"/device", 0o644))
	opened, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	do(t, err)
	defer syscall.Close(opened)
	_, err = syscall.InotifyAddWatch(opened, dir+"/device", syscall.IN_OPEN)
	do(t, err)
	p := &software.Pruner{
		Software: []string{dir + "/soft", dir + "/more", dir + "/none"}, Shared: []string{first, shared},
		Instance: dir + "/inst", DryRun: true,
	}
	all := []string{
		shared + "/chain/" + hash(10), shared + "/chain/" + hash(11), shared + "/chain/" + hash(12),
		shared + "/unlooked/" + hash(9),
	}
	got, err := p.Prune(t.Context())
	order := slices.Clone(got)
	if slices.Sort(got); err != nil || !slices.Equal(got, all) ||
		slices.Index(order, all[3]) > slices.Index(order, all[0]) || slices.Index(order, all[0]) > slices.Index(order, all[1]) {
		t.Fatalf(
			"order = %q, err = %v"+
				"; want no error and got == all and slices.Index(order, all[3]) <= slices.Index(order, "+
				"all[0]) and slices.Index(order, all[0]) <= slices.Index(order, all[1])",
			order, err,
		)
	}
	for _, path := range all {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	p.DryRun = false
	if got, err = p.Prune(t.Context()); err != nil || !slices.Equal(got, order) {
		t.Errorf("got = %q, err = %v; want no error and got == order", got, err)
	}
	for _, path := range append(all, shared+"/chain", shared+"/unlooked") {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there", path)
		}
	}
	if got, err = p.Prune(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("again: %q, %v", got, err)
	}
	if left, err := os.ReadDir(shared); err != nil || len(left) != 9 {
		t.Errorf("left = %v, err = %v; want no error and len(left) == 9", left, err)
	}
	if n, err := syscall.Read(opened, make([]byte, 4096)); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a device was opened: %d, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Prune(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := (&software.Pruner{}).Prune(t.Context()); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
}
