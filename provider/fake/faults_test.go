package fake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/fake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(
			t,
			fake.Options{Source: "s", CreateTime: time.Minute, Boot: 2 * time.Minute, DestroyTime: time.Hour, CleanTime: time.Second},
		)
		start := time.Now()
		if _, err := p.Create(t.Context(), compute.Spec{ID: "s-1"}); err != nil || time.Since(start) != time.Minute {
			t.Fatalf("Create: %v after %v", err, time.Since(start))
		}
		for _, c := range []struct {
			wait time.Duration
			want error
		}{{0, compute.ErrNotReady}, {2*time.Minute - 1, compute.ErrNotReady}, {1, nil}} {
			time.Sleep(c.wait)
			if _, err := p.Connect(t.Context(), "s-1"); !errors.Is(err, c.want) {
				t.Errorf("Connect at %v: %v, want %v", time.Since(start), err, c.want)
			}
		}
		before := time.Now()
		if _, err := p.Clean(t.Context(), "s-1"); err != nil || time.Since(before) != time.Second {
			t.Errorf("Clean: %v after %v", err, time.Since(before))
		}
		for i := range 3 { // asked again and again, it does not begin anew
			if err := p.Destroy(t.Context(), "s-1"); err != nil {
				t.Errorf("Destroy %d: %v", i, err)
			}
			if all, _ := p.List(t.Context()); len(all) != 1 {
				t.Errorf("List while it goes: %v", all)
			}
			time.Sleep(20 * time.Minute)
		}
		if err := p.Destroy(t.Context(), "s-1"); !errors.Is(err, compute.ErrNotFound) || p.Made() != 1 || p.Destroyed() != 1 {
			t.Errorf("Destroy: %v; made %d, destroyed %d", err, p.Made(), p.Destroyed())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Create(ctx, compute.Spec{ID: "s-2"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Create that is cut short: %v", err)
		}
		if all, _ := p.List(t.Context()); len(all) != 1 {
			t.Errorf("a Create that was cut short leaves %v, want the computer", all)
		}
	})
}

func TestLostAnswers(t *testing.T) {
	cloud, fail := fake.NewCloud(), map[string]bool{}
	p := open(t, fake.Options{Source: "s", Cloud: cloud, Fail: func(op string, _ compute.ID) error {
		if fail[op] {
			return fmt.Errorf("%s: %w", op, compute.ErrUnavailable)
		}
		return nil
	}})
	create := func() error { _, err := p.Create(t.Context(), compute.Spec{ID: "s-1"}); return err }
	destroy := func() error { return p.Destroy(t.Context(), "s-1") }
	clean := func() error { _, err := p.Clean(t.Context(), "s-1"); return err }
	connect := func() error { _, err := p.Connect(t.Context(), "s-1"); return err }
	list := func() error { _, err := p.List(t.Context()); return err }
	for _, c := range []struct {
		op                string
		do                func() error
		made, gone, there int // after it failed
	}{
		{"create", create, 0, 0, 0}, {"create-answer", create, 1, 0, 1}, {"list", list, 1, 0, 1},
		{"connect", connect, 1, 0, 1}, {"clean", clean, 1, 0, 1},
		{"clean-answer", clean, 1, 0, 1}, {"destroy", destroy, 1, 0, 1}, {"destroy-answer", destroy, 1, 1, 0},
	} {
		fail = map[string]bool{c.op: true}
		if err := c.do(); !errors.Is(err, compute.ErrUnavailable) {
			t.Errorf("%s does not fail on request: %v", c.op, err)
		}
		if cloud.Made() != c.made || cloud.Destroyed() != c.gone || len(cloud.IDs()) != c.there {
			t.Errorf("after %s failed: made %d, destroyed %d, there %v", c.op, cloud.Made(), cloud.Destroyed(), cloud.IDs())
		}
	}
}

func TestRates(t *testing.T) {
	p := open(t, fake.Options{Source: "s", FailCreate: "0.25", Seed: 1})
	failed := 0
	for i := range 400 {
		if _, err := p.Create(t.Context(), compute.Spec{ID: compute.ID(fmt.Sprint("s-", i))}); err != nil {
			failed++
		}
	}
	if failed < 60 || failed > 140 || p.Made() != 400-failed {
		t.Errorf("of 400 creates %d failed at a rate of 0.25; made %d", failed, p.Made())
	}
	p = open(t, fake.Options{Source: "s", FailDestroy: "always", FailConnect: "1", FailClean: "always"})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "s-1"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Destroy(t.Context(), "s-1"); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Destroy: %v", err)
	}
	if _, err := p.Connect(t.Context(), "s-1"); !errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrNotReady) {
		t.Errorf("Connect: %v", err)
	}
	if _, err := p.Clean(t.Context(), "s-1"); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Clean: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []fake.Options{
		{FailCreate: "often"}, {FailCreate: "1.5"}, {FailClean: "-0.1"}, {FailConnect: "NaN"}, {Boot: -1},
		{Capacity: -1}, {Exec: "yes"}, {State: "tape"},
		{State: "disk"},
	} {
		if _, err := fake.Open(t.Context(), slog.New(slog.DiscardHandler), o); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", o, err)
		}
	}
}

// TestDiskTogether lets several openings, as processes would, race for the last places, and finds a
// damaged file.
func TestDiskTogether(t *testing.T) {
	dir := t.TempDir()
	o := fake.Options{Source: "s", Installation: "../i", Dir: filepath.Join(dir, "state"), Capacity: 5}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			p := open(t, o)
			if _, err := p.Create(
				t.Context(), compute.Spec{ID: compute.ID(fmt.Sprint("s-", i))},
			); err != nil && !errors.Is(err, compute.ErrNoCapacity) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := open(t, o).List(t.Context())
	if err != nil || len(all) != 5 {
		t.Fatalf("List: %v, %v, want 5", all, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("something was written outside of the directory: %v", entries)
	}
	files, _ := filepath.Glob(filepath.Join(o.Dir, "*.json"))
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, o).List(t.Context()); !errors.Is(err, compute.ErrFailed) {
		t.Errorf("List with a damaged file: %v, want ErrFailed", err)
	}
}

func TestConnSaysWhenItsComputerIsGone(t *testing.T) {
	p := open(t, fake.Options{Source: "s", Reply: "hello"})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "s-1"}); err != nil {
		t.Fatal(err)
	}
	conn, err := p.Connect(t.Context(), "s-1")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if exit, err := conn.Run(
		t.Context(), &compute.Command{Args: []string{"false"}, Stdout: &out},
	); err != nil || exit.Status() != 0 || out.String() != "hello\n" {
		t.Errorf(
			"out = %q, exit = %v, err = %v"+
				"; want no error and exit.Status() == 0 and out.String() == \"hello\\n\"",
			out.String(), exit, err,
		)
	}
	if err := p.Destroy(t.Context(), "s-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Run(t.Context(), &compute.Command{Args: []string{"true"}}); !errors.Is(err, compute.ErrLost) {
		t.Errorf("a command on a computer that is gone: %v, want ErrLost", err)
	}
}
