//go:build linux

package vm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm"
	"github.com/hostler-project/hostler/remote/agent"
)

// TestOptions refuses what cannot be meant.
func TestOptions(t *testing.T) {
	good := vm.Options{Image: "/image", Dir: t.TempDir(), Source: "suite"}
	for _, c := range []struct {
		change func(*vm.Options)
		words  string
	}{
		{func(o *vm.Options) { o.Image = "relative.qcow2" }, "absolute"},
		{func(o *vm.Options) { o.Initrd = "/initrd" }, "without a kernel"},
		{func(o *vm.Options) { o.Machine = "vax" }, "machine = vax"},
		{func(o *vm.Options) { o.Machine = "microvm" }, "needs a kernel"},
		{func(o *vm.Options) { o.Accel = "hvf" }, "accel = hvf"},
		{func(o *vm.Options) { o.Network = "tap:" }, "network = tap:"},
		{func(o *vm.Options) { o.Network, o.Ports = "none", []string{"80"} }, "network = user only"},
		{func(o *vm.Options) { o.Ports = []string{"80:x"} }, "ports = 80:x"},
		{func(o *vm.Options) { o.Ports = []string{"1:2/icmp"} }, "neither tcp nor udp"},
		{func(o *vm.Options) { o.Access = "telnet" }, "agent = telnet"},
		{func(o *vm.Options) { o.Access, o.Warm = "ssh", true }, "warm = yes"},
		{func(o *vm.Options) { o.Network, o.Warm = "tap:tap0", true }, "warm = yes"},
		{func(o *vm.Options) { o.User = "a\nb" }, "no name"},
		{func(o *vm.Options) { o.Memory = 1 << 20 }, "32 MiB"},
		{func(o *vm.Options) { o.Dir = "" }, "no directory"},
		{func(o *vm.Options) { o.Cores = 4096 }, "that this machine has"},
		{func(o *vm.Options) { o.Memory = 1 << 60 }, "this machine has"},
		{func(o *vm.Options) { o.Disk = 1 << 60 }, "GiB"},
	} {
		o := good
		c.change(&o)
		if _, err := vm.Open(t.Context(), nil, o); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%q: err = %v; want error compute.ErrInvalid and err.Error() with c.words", c.words, err)
		}
	}
	if _, err := vm.Open(t.Context(), nil, good); err != nil {
		t.Error(err)
	}
}

// TestTooLarge asks for more than this machine has: each is said to be too large, and nothing is
// begun.
func TestTooLarge(t *testing.T) {
	o := vm.Options{Image: "/image", Dir: filepath.Join(t.TempDir(), "state"), Source: "suite"}
	for _, spec := range []compute.Spec{
		{Cores: runtime.NumCPU() + 1}, {Cores: math.MaxInt}, {Memory: 1 << 60}, {Memory: math.MaxInt64}, {Disk: 1 << 60},
		{Disk: math.MaxInt64}, {GPUs: 1},
	} {
		spec.ID = "suite-1"
		if _, err := open(t, o).Create(t.Context(), spec); !errors.Is(err, compute.ErrTooLarge) || compute.Hint(err) == "" {
			t.Errorf(`%+v: err = %v; want error compute.ErrTooLarge and compute.Hint(err) != ""`, spec, err)
		}
	}
	if _, err := os.Stat(o.Dir); err == nil {
		t.Error("something was begun")
	}
}

// TestMissing tells what is not there, in words and with a hint.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	o := vm.Options{Source: "suite", Image: filepath.Join(dir, "none"), Dir: filepath.Join(dir, "state")}
	t.Run("qemu", func(t *testing.T) {
		t.Setenv("PATH", dir)
		p := open(t, o)
		_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
		if !errors.Is(err, compute.ErrUnavailable) || !strings.Contains(err.Error(), "not installed") || compute.Hint(err) == "" {
			t.Error(err)
		}
		destroy(t, p, "suite-1") // without qemu too
		if f := vm.Examine(t.Context(), vm.Options{}); len(f) != 1 || f[0].Result != "skip" || f[0].Hint == "" {
			t.Errorf("Examine: %+v", f)
		}
	})
	t.Run("image", func(t *testing.T) {
		o := lab(t)
		o.Dir = filepath.Join(dir, "state")
		for path, words := range map[string]string{
			filepath.Join(dir, "none"): "no such file", dir: "no file with an image", "/dev/null": "0 bytes",
		} {
			o.Image = path
			p := open(t, o)
			_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
			if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), words) || compute.Hint(err) == "" {
				t.Errorf("image = %s: %v", path, err)
			}
			destroy(t, p, "suite-1")
		}
	})
	t.Run("no image", func(t *testing.T) {
		o := o
		o.Image = ""
		if _, err := open(t, o).Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, compute.ErrInvalid) ||
			compute.Hint(err) == "" {
			t.Error(err)
		}
		if x := left(t, o.Dir); len(x) > 0 {
			t.Error(x)
		}
	})
	t.Run("kernel", func(t *testing.T) {
		o := lab(t)
		o.Dir, o.Kernel = filepath.Join(dir, "state"), filepath.Join(dir, "none")
		p := open(t, o)
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, compute.ErrInvalid) ||
			!strings.Contains(err.Error(), "kernel") {
			t.Error(err)
		}
		destroy(t, p, "suite-1")
	})
	t.Run("agent", func(t *testing.T) {
		o := lab(t)
		o.Dir, o.Agent = filepath.Join(dir, "state"), func(string) (agent.Program, error) { return agent.Program{}, errors.New("none for this one") }
		p := open(t, o)
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, compute.ErrUnavailable) ||
			compute.Hint(err) == "" {
			t.Error(err)
		}
		destroy(t, p, "suite-1")
	})
}

// TestDamagedImage gives qemu headers that make no sense.
func TestDamagedImage(t *testing.T) {
	o := lab(t)
	dir := t.TempDir()
	head := make([]byte, 1<<20)
	copy(head, "QFI\xfb\x00\x00\x00\x03")
	for name, b := range map[string][]byte{
		"zero": head, "short": head[:10], "version": append([]byte("QFI\xfb\x00\x00\x00\x09"), head...),
	} {
		o.Image, o.Dir = filepath.Join(dir, name), filepath.Join(dir, "state")
		if err := os.WriteFile(o.Image, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p := open(t, o)
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, compute.ErrInvalid) ||
			!strings.Contains(err.Error(), "damaged") {
			t.Errorf(`%s: err = %v; want error compute.ErrInvalid and err.Error() with "damaged"`, name, err)
		}
		destroy(t, p, "suite-1")
	}
	// A header that we take and qemu refuses: its tables lie beyond the file.
	b, err := os.ReadFile(makeOverlay(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	o.Image = filepath.Join(dir, "over")
	if err := os.WriteFile(o.Image, b, 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, o)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "lies over another file") {
		t.Errorf("a disk that names another file: %v", err)
	}
	destroy(t, p, "suite-1")
	copy(b[8:20], make([]byte, 12)) // it lies over none
	copy(b[40:48], "\x00\x00\x00\xff\x00\x00\x00\x01")
	o.Image = filepath.Join(dir, "tables")
	if err := os.WriteFile(o.Image, b, 0o600); err != nil {
		t.Fatal(err)
	}
	p = open(t, o)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err == nil || !strings.Contains(err.Error(), "qemu has ended") {
		t.Errorf("damaged tables: %v", err)
	}
	destroy(t, p, "suite-1")
	for _, x := range left(t, o.Dir) {
		t.Error("left behind:", x)
	}
}

func makeOverlay(t *testing.T, dir string) string {
	t.Helper()
	raw, path := filepath.Join(dir, "raw"), filepath.Join(dir, "layer.qcow2")
	if err := os.WriteFile(raw, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := vm.Overlay(path, raw, 0); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOverlay has qemu's own tool look at layers of all sizes.
func TestOverlay(t *testing.T) {
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("overlay: no qemu-img")
	}
	dir := t.TempDir()
	raw := filepath.Join(dir, "a raw, odd one")
	if err := os.WriteFile(raw, []byte(strings.Repeat("hello, disk\n", 100000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 1 << 20, 512 << 20, 512<<20 + 512, 10 << 30, 1 << 40, 4 << 40} {
		path := filepath.Join(dir, fmt.Sprintf("%d.qcow2", size))
		if err := vm.Overlay(path, raw, size); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"check", path}, {"info", "--backing-chain", path}, {"map", path}} {
			if args[0] == "map" && size > 1<<30 {
				continue
			}
			if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
				t.Errorf("%v: err = %v: out = %s; want no error", args, err, out)
			}
		}
		if size == 0 {
			back := filepath.Join(dir, "back")
			if out, err := exec.CommandContext(t.Context(), tool, "convert", "-O", "raw", path, back).CombinedOutput(); err != nil {
				t.Fatalf("%v: out = %s; want no error", err, out)
			}
			want, _ := os.ReadFile(raw)
			if got, _ := os.ReadFile(back); !bytes.HasPrefix(got, want) {
				t.Error("through the layer the image looks different")
			}
		}
		_ = os.Remove(path)
	}
	if err := vm.Overlay(filepath.Join(dir, "x"), raw, 5<<40); err == nil {
		t.Error("a disk of 5 TiB")
	}
}

// TestOtherVersion gives an instance a saved machine of another qemu: it is not used, but made
// anew. And one that is damaged.
func TestOtherVersion(t *testing.T) {
	o := warm(t)
	keys := func() (out []string) {
		all, _ := filepath.Glob(filepath.Join(o.Dir, "templates", "*"))
		for _, x := range all {
			if !strings.HasSuffix(x, ".lock") {
				out = append(out, x)
			}
		}
		return out
	}
	before := keys()
	if len(before) != 1 {
		t.Fatal(before)
	}
	// A qemu that says that it is another.
	known, _ := filepath.Glob(filepath.Join(o.Dir, "facts", "jailed-qemu-*"))
	if len(known) != 1 {
		t.Fatal(known)
	}
	b, err := os.ReadFile(known[0])
	if err == nil {
		_ = os.Remove(known[0]) // it is a link to that of the other tests
		err = os.WriteFile(known[0], bytes.Replace(b, []byte(`"version":"`), []byte(`"version":"99.1, not `), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, o)
	create(t, p, "suite-1")
	sh(t, connect(t, p, "suite-1"), "true")
	if after := keys(); len(after) != 1 || after[0] == before[0] {
		t.Errorf("saved machines: before %v, with another qemu %v", before, after)
	}
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
		t.Fatal(err)
	}
	// Cut short: the state of the devices is missing an end.
	state := filepath.Join(keys()[0], "state")
	fi, err := os.Stat(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(state, fi.Size()/2); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	create(t, p, "suite-2")
	t.Log("with a state that was cut short", time.Since(began))
	sh(t, connect(t, p, "suite-2"), "true")
}

// TestGarbledState overwrites what was saved with something of the same length: qemu refuses it,
// and it is made anew.
func TestGarbledState(t *testing.T) {
	o := warm(t)
	states, _ := filepath.Glob(filepath.Join(o.Dir, "templates", "*", "state"))
	if len(states) != 1 {
		t.Fatal(states)
	}
	b, err := os.ReadFile(states[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := 100; i < len(b); i++ {
		b[i] ^= 0x5a
	}
	if err := os.Remove(states[0]); err != nil { // it is a link to the one of the other tests
		t.Fatal(err)
	}
	if err := os.WriteFile(states[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, o)
	create(t, p, "suite-1")
	sh(t, connect(t, p, "suite-1"), "true")
}

// TestDiskFull lets a machine write until this machine has no room: it is halted, and Check says
// why. Creating there says it too.
func TestDiskFull(t *testing.T) {
	o := warm(t)
	if os.Geteuid() != 0 {
		t.Skip("disk full: only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=40m,mode=700"); err != nil {
		t.Skipf("disk full: no tmpfs: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	// where there is room: a file in memory needs it even to be read
	for _, sub := range []string{"templates", "boot", "facts"} {
		if err := os.Symlink(filepath.Join(o.Dir, sub), filepath.Join(state, sub)); err != nil {
			t.Fatal(err)
		}
	}
	o.Dir = state
	p := open(t, o)
	create(t, p, "suite-1")
	fill := func(leave int64) {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("fill-%d", leave)))
		if err == nil {
			if n := int64(st.Bavail)*st.Bsize - leave; n > 0 {
				err = syscall.Fallocate(int(f.Fd()), 0, 0, n)
			}
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fill(4 << 20)
	c := connect(t, p, "suite-1")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go c.Run(ctx, &compute.Command{Args: []string{"sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=30 conv=fsync"}})
	var err error
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = p.Check(t.Context(), "suite-1"); err != nil {
			break
		}
	}
	if !errors.Is(err, compute.ErrNoCapacity) || compute.Hint(err) == "" {
		t.Errorf("Check of a machine that cannot write: %v", err)
	}
	cancel()
	_ = c.Close()
	fill(8 << 10)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"}); !errors.Is(err, compute.ErrNoCapacity) {
		t.Errorf("Create without room: %v", err)
	}
	_ = os.Remove(filepath.Join(dir, fmt.Sprintf("fill-%d", 8<<10)))
	destroy(t, p, "suite-1")
	destroy(t, p, "suite-2")
}
