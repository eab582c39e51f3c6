//go:build linux

package chroot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/chroot"
)

var errKilled = errors.New("killed")

// TestKilledAtEachStep ends create, clean and destroy at each of their steps, as kill -9 would, and
// lets another opening go on.
func TestKilledAtEachStep(t *testing.T) {
	kv := lab(t)
	for name, o := range map[string]chroot.Options{
		"directory overlay": {Base: kv["rootfs"], Layer: "overlay"}, "tarball overlay": {Base: kv["tarball"], Layer: "overlay"},
		"directory copy": {Base: kv["rootfs"], Layer: "copy"}, "tarball copy": {Base: kv["tarball"], Layer: "copy"},
	} {
		for _, verb := range []string{"create", "clean", "destroy"} {
			if verb != "create" && o.Base == kv["tarball"] {
				continue // unpacked by then, it is a directory like any other
			}
			t.Run(name+" "+verb, func(t *testing.T) {
				var steps []string
				for n := 0; ; n++ { // killed before the n-th step, until there are no more
					o.Dir = filepath.Join(tempDir(t), "state")
					p := open(t, o)
					id := compute.ID(fmt.Sprintf("suite-%d", n))
					do := func(p *chroot.Provider) error {
						var err error
						switch verb {
						case "create":
							_, err = p.Create(t.Context(), compute.Spec{ID: id})
						case "clean":
							_, err = p.Clean(t.Context(), id)
						case "destroy":
							err = p.Destroy(t.Context(), id)
						}
						return err
					}
					if verb != "create" {
						conn := create(t, p, id)
						sh(t, conn, "echo secret > /tmp/secret; sleep 3985 >/dev/null 2>&1 &")
						conn.Close()
					}
					at, died := 0, ""
					p.SetStep(func(step string) error {
						if died == "" && at == n {
							died = step
						}
						if died != "" { // the dead do nothing more
							return errKilled
						}
						at++
						return nil
					})
					err := do(p)
					if died == "" {
						if err != nil {
							t.Fatalf("not killed: %v", err)
						}
						if want := map[string]int{"create": 6, "clean": 9, "destroy": 4}[verb]; len(steps) < want {
							t.Errorf("only %d steps: %v", len(steps), steps)
						}
						destroy(t, open(t, o), id)
						return
					}
					steps = append(steps, died)
					if !errors.Is(err, errKilled) {
						t.Fatalf("killed at %s: %v", died, err)
					}
					// The next process sees it, or it never was or is gone; it finishes what was
					// begun, and its end leaves nothing.
					q := open(t, o)
					all, err := q.List(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					there := slices.ContainsFunc(all, func(in compute.Instance) bool { return in.ID == id })
					if gone := died == "begin" || died == "name" || died == "delete"; there == gone {
						t.Errorf("killed at %s, List has it: %v", died, there)
					}
					if verb == "create" || verb == "clean" {
						if err := do(q); err != nil {
							t.Fatalf("%s again, after it was killed at %s: %v", verb, died, err)
						}
						conn, err := q.Connect(t.Context(), id)
						if err != nil {
							t.Fatal(err)
						}
						sh(t, conn, "test ! -e /tmp/secret; test -c /dev/null; test -r /proc/self/stat; test -x /bin/busybox")
						conn.Close()
					}
					destroy(t, q, id)
					for _, x := range left(t, o.Dir) {
						// What was being made when it died is deleted an hour later.
						if match, _ := filepath.Match(filepath.Join(o.Dir, "new-*"), x); !match {
							t.Errorf("killed at %s: %s is left", died, x)
						}
					}
				}
			})
		}
	}
}

// TestOldRemains finds what dead processes left half-made and half-deleted: the old goes, what may
// still be at work stays.
func TestOldRemains(t *testing.T) {
	kv := lab(t)
	dir := tempDir(t)
	p := open(t, chroot.Options{Base: kv["rootfs"], Dir: dir})
	ago := time.Now().Add(-2 * time.Hour)
	for name, gone := range map[string]bool{"new-old": true, "new-young": false, "trash/old": true, "trash/young": false} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(path, "x", "y"), 0o700); err != nil {
			t.Fatal(err)
		}
		if gone {
			if err := os.Chtimes(path, ago, ago); err != nil {
				t.Fatal(err)
			}
		}
	}
	create(t, p, "suite-1")
	for name, want := range map[string]bool{"new-old": false, "new-young": true, "trash/old": false, "trash/young": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("after Create %s is there: %v", name, err == nil)
		}
	}
	destroy(t, p, "suite-1")
	if _, err := os.Stat(filepath.Join(dir, "trash")); err == nil {
		t.Error("after Destroy the trash is there")
	}
}

// TestSlowUnpacking lets another process look for what is left behind while a tarball is being
// unpacked for hours.
func TestSlowUnpacking(t *testing.T) {
	kv := lab(t)
	dir := tempDir(t)
	p := open(t, chroot.Options{Base: kv["tarball"], Dir: dir})
	swept := 0
	p.SetStep(func(step string) error {
		if step != "unpacked" {
			return nil
		}
		making, err := filepath.Glob(filepath.Join(dir, "new-*"))
		if err != nil || len(making) != 1 {
			t.Errorf("being made: %v, %v", making, err)
		}
		ago := time.Now().Add(-2 * time.Hour)
		for _, path := range making {
			if err := os.Chtimes(path, ago, ago); err != nil {
				t.Error(err)
			}
		}
		if err := open(
			t, chroot.Options{Base: kv["tarball"], Dir: dir},
		).Destroy(t.Context(), "suite-9"); !errors.Is(err, compute.ErrNotFound) {
			t.Error(err)
		}
		swept++
		return nil
	})
	create(t, p, "suite-1")
	if swept != 1 {
		t.Errorf("unpacked %d times", swept)
	}
}
