//go:build linux

package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// The benchmarks here measure what users wait for against floors and peers in the same run, one
// after the other in turn, and print ratios. Their first loop is the measurement; b.N is not used.

// timed is something to measure; after it, untimed, comes rest.
type timed struct {
	name string
	run  func() error
	rest func() error
	took []time.Duration
}

func (t *timed) median() time.Duration {
	s := slices.Sorted(slices.Values(t.took))
	return s[len(s)/2]
}

// quiet is how long the machine rests after each: what the kernel, or a process ahead, is still at
// is not for the next one to wait for.
const quiet = 20 * time.Millisecond

func inTurn(b *testing.B, times int, all ...*timed) {
	b.Helper()
	for n := range times + 3 {
		for _, t := range all {
			start := time.Now()
			err := t.run()
			took := time.Since(start)
			if err == nil && t.rest != nil {
				err = t.rest()
			}
			if err != nil {
				b.Fatalf("%s: err = %v; want no error", t.name, err)
			}
			if n >= 3 { // the first warm the files
				t.took = append(t.took, took)
			}
			time.Sleep(quiet)
		}
	}
}

func row(b *testing.B, name string, value float64, unit, promise string) {
	fmt.Printf("%-64s %8.2f %-6s %s\n", name, value, unit, promise)
	b.ReportMetric(value, strings.ReplaceAll(name, " ", "_")+"_"+strings.ReplaceAll(unit, " ", "_"))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func ratio(a, b *timed) float64 { return float64(a.median()) / float64(b.median()) }

// forkExec is the floor of a command.
func forkExec() error { return exec.Command("/bin/true").Run() }

// floorLife is the life of a sandbox by the raw system calls, from one process: a layer in memory
// over the host's root, fresh /proc, /dev and /sys, the same name spaces, users mapped, a control
// group, a command; and the end of it, without waiting for what the kernel does behind.
func floorLife(scratch string) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here, and its mounts with it
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return err
			}
			root := scratch + "/r"
			for _, m := range []struct {
				src, at, kind string
				flags         uintptr
				opt           string
			}{
				{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
				{"tmpfs", scratch, "tmpfs", unix.MS_NODEV, "size=1g"},
				{"overlay", root, "overlay", unix.MS_NODEV, "lowerdir=/,upperdir=" + scratch + "/u,workdir=" + scratch + "/w"},
				{"tmpfs", root + "/dev", "tmpfs", unix.MS_NOSUID, "size=64m"},
				{"proc", root + "/proc", "proc", unix.MS_NOSUID, ""},
				{"sysfs", root + "/sys", "sysfs", unix.MS_RDONLY, ""},
			} {
				if err := unix.Mount(m.src, m.at, m.kind, m.flags, m.opt); err != nil {
					return fmt.Errorf("%s: %w", m.at, err)
				}
				if m.at == scratch {
					for _, d := range []string{"u", "w", "r"} {
						if err := unix.Mkdir(scratch+"/"+d, 0o755); err != nil {
							return err
						}
					}
				}
			}
			ids := []syscall.SysProcIDMap{{HostID: 0, Size: 65536}}
			pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{
				Chroot:      root,
				Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
				UidMappings: ids, GidMappings: ids,
			}})
			if err != nil {
				return err
			}
			var ws unix.WaitStatus
			if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil {
				return err
			}
			return unix.Unmount(root, unix.MNT_DETACH)
		}()
	}()
	return <-done
}

// cold is the whole life of a sandbox that nobody has made before; what is left to do when the
// caller goes on comes behind.
func cold(b *testing.B, name string, o sandbox.Options, image string, ahead bool) *timed {
	b.Helper()
	o.Dir = b.TempDir()
	p := open(b, o)
	if ahead {
		b.Cleanup(keepAhead(b, p))
	}
	n := 0
	var last compute.ID
	return &timed{name: name, run: func() error {
		n++
		last = compute.ID("cold-" + strconv.Itoa(n))
		if _, err := p.Create(b.Context(), compute.Spec{ID: last, Image: image}); err != nil {
			return err
		}
		return once(p, last)
	}, rest: func() error { return p.Destroy(b.Context(), last) }}
}

// once runs a command in a sandbox over a connection of its own.
func once(p *sandbox.Provider, id compute.ID, args ...string) error {
	c, err := p.Connect(context.Background(), id)
	if err != nil {
		return err
	}
	defer c.Close()
	cmd := &compute.Command{Args: []string{"/bin/true"}}
	if len(args) > 0 {
		cmd.Args = args
	}
	exit, err := c.Run(context.Background(), cmd)
	if err == nil && exit.Status() != 0 {
		err = fmt.Errorf("it ended with %d", exit.Status())
	}
	return err
}

// BenchmarkLife measures a command in a sandbox that is there, and the whole life of one that is
// not.
func BenchmarkLife(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("floor: only root may mount")
	}
	p := open(b, sandbox.Options{Dir: b.TempDir()})
	if _, err := p.Create(b.Context(), compute.Spec{ID: "held"}); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Destroy(context.Background(), "held") }()
	held, err := p.Connect(b.Context(), "held")
	if err != nil {
		b.Fatal(err)
	}
	defer held.Close()
	scratch := b.TempDir()
	floor := &timed{name: "fork and exec", run: forkExec}
	command := &timed{name: "held", run: func() error {
		_, err := held.Run(b.Context(), &compute.Command{Args: []string{"/bin/true"}})
		return err
	}}
	life := &timed{name: "raw life", run: func() error { return floorLife(scratch) }}
	ours := cold(b, "cold", sandbox.Options{}, "", false)
	all := []*timed{floor, command, life, ours}
	// without the lab there is less to compare
	kv, _ := computetest.Lab{Set: "sandbox", Net: 62}.Try("base-rootfs", "tiny")
	tiny := kv["rootfs"]
	var image, ahead, crun *timed
	if tiny != "" {
		image = cold(b, "cold, a directory's root", sandbox.Options{}, tiny, false)
		ahead = cold(b, "cold, a directory's root, the process started ahead", sandbox.Options{}, tiny, true)
		all = append(all, image, ahead)
		if crun = crunLife(b, tiny); crun != nil {
			all = append(all, crun)
		}
	}
	b.ResetTimer()
	inTurn(b, 101, all...)
	fmt.Println()
	for _, t := range all {
		fmt.Printf("median: %-52s %6.2f ms\n", t.name, ms(t.median()))
	}
	row(b, "a command in a held sandbox, above fork and exec", ms(command.median()-floor.median()), "ms", "<= 0.6")
	row(b, "cold life / raw system calls", ratio(ours, life), "x", "<= 4")
	if crun != nil {
		row(b, "crun run / cold life, the same root", ratio(crun, image), "x", ">= 3")
		row(b, "crun run / cold life with a process ahead, as hostler serve has", ratio(crun, ahead), "x", "")
	}
}

// crunLife is what crun takes for it, or nil where it does not run. It refuses machines with
// control groups of both versions, so that of version 2 is out of its sight, and it makes no
// groups.
func crunLife(b *testing.B, root string) *timed {
	b.Helper()
	if _, err := exec.LookPath("crun"); err != nil {
		fmt.Println("crun: not installed, not compared")
		return nil
	}
	dir := b.TempDir()
	spec := exec.Command("crun", "spec")
	spec.Dir = dir
	if out, err := spec.CombinedOutput(); err != nil {
		fmt.Printf("crun: %v %s, not compared\n", err, out)
		return nil
	}
	file := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		b.Fatal(err)
	}
	process := config["process"].(map[string]any)
	process["args"], process["terminal"] = []string{"/bin/true"}, false
	delete(process, "rlimits")
	delete(config["linux"].(map[string]any), "resources")
	config["root"] = map[string]any{"path": root, "readonly": true}
	if text, err = json.Marshal(config); err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	asked, told := make(chan bool), make(chan error)
	b.Cleanup(func() { close(asked) })
	go func() {
		runtime.LockOSThread() // and never unlocked: its mounts are its own
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		_ = unix.Unmount("/sys/fs/cgroup/unified", 0) // where there is one
		for range asked {
			n++
			if err == nil {
				var out []byte
				cmd := exec.Command(
					"crun", "--cgroup-manager=disabled", "run", "-b", dir,
					"hostler-bench-"+strconv.Itoa(os.Getpid())+"-"+strconv.Itoa(n),
				)
				if out, err = cmd.CombinedOutput(); err != nil {
					err = fmt.Errorf("%w: %s", err, out)
				}
			}
			told <- err
		}
	}()
	t := &timed{name: "crun run", run: func() error {
		asked <- true
		return <-told
	}}
	if err := t.run(); err != nil {
		fmt.Printf("crun: %v, not compared\n", err)
		return nil
	}
	return t
}

// BenchmarkMany makes a thousand sandboxes and uses 64 of them at once.
func BenchmarkMany(b *testing.B) {
	const many, together = 1000, 64
	p := open(b, sandbox.Options{Dir: b.TempDir()})
	ids := make([]compute.ID, many)
	for i := range ids {
		ids[i] = compute.ID("many-" + strconv.Itoa(i))
	}
	defer each(ids, 8, func(id compute.ID) error { return p.Destroy(context.Background(), id) })
	b.ResetTimer()
	begun := time.Now()
	if err := each(ids, 4, func(id compute.ID) error {
		_, err := p.Create(b.Context(), compute.Spec{ID: id})
		return err
	}); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	var private int64
	sample := ids[:50]
	for _, id := range sample {
		n, err := privateOf(b, p, id)
		if err != nil {
			b.Fatal(err)
		}
		private += n
	}
	conns := make([]compute.Conn, together)
	for i := range conns {
		c, err := p.Connect(b.Context(), ids[i])
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	bare, ours := &timed{}, &timed{}
	for range 30 {
		at64(bare, together, func(int) error { return forkExec() })
		at64(ours, together, func(i int) error {
			_, err := conns[i].Run(b.Context(), &compute.Command{Args: []string{"/bin/true"}})
			return err
		})
	}
	fmt.Println()
	row(b, "sandboxes made a second, 1000 of them", float64(many)/took.Seconds(), "/s", ">= 150")
	row(b, "an idle sandbox, resident beyond shared pages", float64(private)/float64(len(sample))/(1<<20), "MiB", "< 6")
	row(b, "64 commands at once in 64 of 1000 sandboxes / fork and exec at 64", ratio(ours, bare), "x", "<= 3")
}

// at64 does something in so many goroutines at once, and notes how long each took from when all
// were asked for.
func at64(t *timed, n int, f func(i int) error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	start := time.Now()
	for i := range n {
		all.Go(func() {
			if f(i) != nil {
				return
			}
			took := time.Since(start)
			mu.Lock()
			t.took = append(t.took, took)
			mu.Unlock()
		})
	}
	all.Wait()
}

// each does something for all, some at a time.
func each(ids []compute.ID, some int, f func(compute.ID) error) error {
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	next := make(chan compute.ID)
	for range some {
		all.Go(func() {
			for id := range next {
				if err := f(id); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	all.Wait()
	return errors.Join(errs...)
}

// privateOf is how many bytes the processes of an idle sandbox have for themselves alone.
func privateOf(b *testing.B, p *sandbox.Provider, id compute.ID) (int64, error) {
	b.Helper()
	in, err := p.Create(b.Context(), compute.Spec{ID: id})
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(in.ProviderID, "life"))
	if err != nil {
		return 0, err
	}
	var l struct{ PID int }
	if err := json.Unmarshal([]byte(strings.Split(string(text), "\n")[0]), &l); err != nil {
		return 0, err
	}
	rollup, err := os.ReadFile("/proc/" + strconv.Itoa(l.PID) + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	var sum int64
	for line := range strings.Lines(string(rollup)) {
		var kib int64
		for _, kind := range []string{"Private_Clean:", "Private_Dirty:"} {
			if n, _ := fmt.Sscanf(line, kind+" %d kB", &kib); n == 1 {
				sum += kib << 10
			}
		}
	}
	return sum, nil
}
