package instancedirs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/instancedirs"
)

type marker struct {
	instancedirs.Owner
	Word string `json:"word,omitempty"`
}

// open opens a directory of homes, as another process would.
func open(t testing.TB, place string, inPlace bool) *instancedirs.Dir[marker] {
	t.Helper()
	return &instancedirs.Dir[marker]{
		Place: place, Installation: "mine", Source: "suite",
		InPlace: inPlace, Log: slog.New(slog.DiscardHandler),
	}
}

// ways runs a test for homes that are renamed when they are whole, and for those that are made in
// place.
func ways(t *testing.T, test func(t *testing.T, inPlace bool)) {
	t.Run("whole", func(t *testing.T) { test(t, false) })
	t.Run("in place", func(t *testing.T) { test(t, true) })
}

// tree lists all that there is in a directory.
func tree(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name := strings.TrimPrefix(path, dir+"/"); name != dir {
			out = append(out, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

// made makes a home and lets its lock go.
func made(t *testing.T, d *instancedirs.Dir[marker], id compute.ID, word string) marker {
	t.Helper()
	l, m, err := d.Make(t.Context(), marker{d.Owner(id), word})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMake(t *testing.T) {
	ways(t, func(t *testing.T, inPlace bool) {
		d := open(t, filepath.Join(t.TempDir(), "state"), inPlace)
		if all, err := d.List(); err != nil || len(all) != 0 {
			t.Fatalf("before there is anything: %v, %v", all, err)
		}
		if m := made(t, d, "a", "first"); m.Word != "first" {
			t.Errorf("made: %+v", m)
		}
		if m := made(t, open(t, d.Place, inPlace), "a", "second"); m.Word != "first" {
			t.Errorf("made again: %+v", m)
		}
		made(t, d, "b", "")
		l, m, err := d.Lock(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if m.Word = "third"; d.Write(m) != nil {
			t.Error("not written")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, _, err := d.Lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a lock that another has: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if m, err := d.Read("a"); err != nil || m != (marker{d.Owner("a"), "third"}) {
			t.Errorf("read: %+v, %v", m, err)
		}
		all, err := d.List()
		if err != nil || len(all) != 2 || all[0].Word != "third" || all[1].Whose() != d.Owner("b") {
			t.Errorf("all: %+v, %v", all, err)
		}
		if fi, err := os.Stat(filepath.Join(d.Path("a"), "owner")); err != nil || fi.Mode() != 0o600 {
			t.Errorf("the marker: %v, %v", fi, err)
		}
		if got := tree(t, d.Place); !slices.Equal(
			got, []string{"instances", "instances/a", "instances/a/owner", "instances/b", "instances/b/owner"},
		) {
			t.Errorf("there is %v", got)
		}
		for _, bad := range []marker{
			{}, {Owner: instancedirs.Owner{Installation: "theirs", Source: "suite", ID: "c"}}, {Owner: d.Owner("../c")},
			{Owner: d.Owner("")},
		} {
			if l, _, err := d.Make(t.Context(), bad); err == nil {
				l.Close()
				t.Errorf("%+v is made", bad)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := d.Make(cancelled, marker{Owner: d.Owner("c")}); !errors.Is(err, context.Canceled) {
			t.Errorf("made though ended: %v", err)
		}
		if _, _, err := d.Lock(t.Context(), "c"); !errors.Is(err, instancedirs.ErrNone) {
			t.Errorf("one that there is not: %v", err)
		}
		d.Trust = func() error { return errDenied }
		for _, f := range []func() error{
			func() error { _, _, err := d.Lock(t.Context(), "a"); return err },
			func() error { _, _, err := d.Lock(t.Context(), "c"); return err },
		} {
			if err := f(); !errors.Is(err, errDenied) {
				t.Errorf("in a place that is not to be trusted: %v", err)
			}
		}
	})
}

var errDenied, errKilled = errors.New("denied"), errors.New("killed")

// TestForeign finds directories where homes belong that are not ours, and leaves them alone.
func TestForeign(t *testing.T) {
	ways(t, func(t *testing.T, inPlace bool) {
		d := open(t, t.TempDir(), inPlace)
		for name, text := range map[string]string{"none": "-", "empty": "", "torn": "{", "list": "[1]",
			"number":    `{"installation":1,"source":"suite","id":"number"}`,
			"other":     `{"installation":"mine","source":"suite","id":"another"}`,
			"theirs":    `{"installation":"theirs","source":"suite","id":"theirs"}`,
			"elsewhere": `{"installation":"mine","source":"elsewhere","id":"elsewhere"}`} {
			home := filepath.Join(d.Place, "instances", name)
			if err := os.MkdirAll(filepath.Join(home, "precious"), 0o700); err != nil {
				t.Fatal(err)
			}
			if text != "-" {
				if err := os.WriteFile(filepath.Join(home, "owner"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := tree(t, home)
			if l, _, err := d.Make(t.Context(), marker{Owner: d.Owner(compute.ID(name))}); !errors.Is(err, instancedirs.ErrForeign) {
				t.Errorf("Make of %s: %v, %v", name, l, err)
			}
			if l, _, err := d.Lock(t.Context(), compute.ID(name)); !errors.Is(err, instancedirs.ErrNone) {
				t.Errorf("Lock of %s: %v, %v", name, l, err)
			}
			if m, err := d.Read(compute.ID(name)); !errors.Is(err, instancedirs.ErrNone) {
				t.Errorf("Read of %s: %+v, %v", name, m, err)
			}
			d.Sweep(t.Context(), 0)
			if after := tree(t, home); !slices.Equal(before, after) {
				t.Errorf("of %s there was %v, and is %v", name, before, after)
			}
			if got, err := os.ReadFile(filepath.Join(home, "owner")); text != "-" && (err != nil || string(got) != text) {
				t.Errorf("the marker of %s is %q, %v", name, got, err)
			}
		}
		if m, err := d.Look("theirs"); err != nil || m.Installation != "theirs" {
			t.Errorf("whoever's: %+v, %v", m, err)
		}
		// A link to a home, and a file, are none.
		made(t, d, "real", "")
		if err := errors.Join(os.Symlink("real", d.Path("link")), os.WriteFile(d.Path("file"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		for _, id := range []compute.ID{"link", "file"} {
			if l, _, err := d.Lock(t.Context(), id); err == nil {
				l.Close()
				t.Errorf("%s is locked", id)
			}
		}
		if all, err := d.List(); err != nil || len(all) != 1 {
			t.Errorf("all: %v, %v", all, err)
		}
	})
}

// TestKilledAtEachStep dies at each step of Make, and lets another go on.
func TestKilledAtEachStep(t *testing.T) {
	ways(t, func(t *testing.T, inPlace bool) {
		for _, next := range []string{"make", "lock", "sweep"} {
			for n := 0; ; n++ {
				d := open(t, t.TempDir(), inPlace)
				at, died := 0, ""
				d.Step = func(step string) error {
					if at == n || died != "" {
						died = step
						return errKilled
					}
					at++
					return nil
				}
				l, _, err := d.Make(t.Context(), marker{d.Owner("a"), "first"})
				if died == "" {
					if err != nil || n != 2 {
						t.Fatalf("after %d steps: %v", n, err)
					}
					l.Close()
					break
				}
				if !errors.Is(err, errKilled) {
					t.Fatalf("killed at %s: %v", died, err)
				}
				if n == 1 && inPlace && next != "make" { // or it has died a moment later
					if err := os.WriteFile(filepath.Join(d.Path("a"), "owner"), nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				e := open(t, d.Place, inPlace)
				if all, err := e.List(); err != nil || len(all) != 0 {
					t.Errorf("killed at %s, there is %v, %v", died, all, err)
				}
				switch next {
				case "make":
					if m := made(t, e, "a", "second"); m.Word != "second" {
						t.Errorf("killed at %s, then it is %+v", died, m)
					}
					if _, err := e.Throw(e.Path("a")); err != nil {
						t.Error(err)
					}
				case "lock":
					if _, _, err := e.Lock(t.Context(), "a"); !errors.Is(err, instancedirs.ErrNone) {
						t.Errorf("killed at %s, then there is %v", died, err)
					}
				}
				ago := time.Now().Add(-2 * time.Hour)
				for _, name := range tree(t, d.Place) {
					if strings.HasPrefix(name, "new-") && !strings.Contains(name, "/") {
						if err := os.Chtimes(filepath.Join(d.Place, name), ago, ago); err != nil {
							t.Fatal(err)
						}
					}
				}
				e.Sweep(t.Context(), 0)
				for _, name := range tree(t, d.Place) {
					if name != "instances" && (next != "sweep" || !inPlace) {
						t.Errorf("killed at %s, then %s: left is %s", died, next, name)
					}
				}
			}
		}
	})
}

// TestRace has many make, lock, throw away and sweep the same few homes: each is in one's hands at
// a time, and is whole.
func TestRace(t *testing.T) {
	ways(t, func(t *testing.T, inPlace bool) {
		place := t.TempDir()
		var crowd sync.WaitGroup
		times := make([]int, 8)
		for n := range times {
			crowd.Go(func() {
				d := open(t, place, inPlace)
				for round := range 60 {
					id := compute.ID(fmt.Sprint("home-", round%2))
					var l *os.File
					var m marker
					var err error
					if (n+round)%3 == 0 {
						if l, m, err = d.Lock(t.Context(), id); errors.Is(err, instancedirs.ErrNone) {
							continue
						}
					} else {
						l, m, err = d.Make(t.Context(), marker{d.Owner(id), fmt.Sprint(n)})
					}
					if err != nil {
						t.Error(err)
						return
					}
					if m.Whose() != d.Owner(id) || m.Word == "" {
						t.Errorf("it is %+v", m)
					}
					busy := filepath.Join(d.Path(id), "busy")
					if f, err := os.OpenFile(busy, os.O_CREATE|os.O_EXCL, 0o600); err != nil {
						t.Errorf("it is in another's hands: %v", err)
					} else if err := errors.Join(f.Close(), os.Remove(busy)); err != nil {
						t.Error(err)
					}
					if round%4 == 3 {
						if _, err := d.Throw(d.Path(id)); err != nil {
							t.Error(err)
						}
						d.Sweep(t.Context(), 0)
					}
					times[n]++
					_ = l.Close()
				}
			})
		}
		crowd.Wait()
		if slices.Min(times) == 0 {
			t.Errorf("that is no race: %v", times)
		}
		d := open(t, place, inPlace)
		d.Sweep(t.Context(), 0)
		all, err := d.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tree(t, place) {
			if !strings.HasPrefix(name, "instances") {
				t.Errorf("left is %s", name)
			}
		}
		for _, m := range all {
			if _, err := d.Throw(d.Path(compute.ID(m.ID))); err != nil {
				t.Error(err)
			}
		}
		if left := tree(t, filepath.Join(place, "instances")); len(left) != 0 {
			t.Errorf("left is %v", left)
		}
	})
}

func TestFull(t *testing.T) {
	for _, err := range []error{unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE} {
		if !instancedirs.Full(&os.PathError{Err: err}) {
			t.Error(err)
		}
	}
	if instancedirs.Full(unix.EACCES) || instancedirs.Full(nil) {
		t.Error("full of nothing")
	}
}

// FuzzPlain: a name that may be a home's names an entry of the directory of homes, and nothing
// else.
func FuzzPlain(f *testing.F) {
	for _, name := range []string{
		"", ".", "..", "a/b", "-rf", "a\x00b", "suite-1", "ü", "\n", strings.Repeat("a", 201), ".a", "a..", "\xff",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d := instancedirs.Dir[marker]{Place: "/state"}
		if instancedirs.Plain(compute.ID(name)) &&
			(d.Path(compute.ID(name)) != "/state/instances/"+name || strings.Count(name, "/") > 0 || len(name) > 255 || name[0] == '-') {
			t.Errorf("got %q", name)
		}
	})
}
