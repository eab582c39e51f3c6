package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// handles: a commit of one handle is seen by another at once.
func handles(t *testing.T, r *rig) {
	other := r.open()
	for n := range 20 {
		a, b := r.Handle, other
		if n%2 == 1 {
			a, b = b, a
		}
		update(t, a, func(tx store.Tx) error { return event(tx, fmt.Sprint(n)) })
		if got := kinds(t, b); len(got) != n+1 {
			t.Fatalf("after %d writes the other handle sees %d", n+1, len(got))
		}
	}
	if r.Installation() == "" || r.Installation() != other.Installation() {
		t.Errorf("installations %q and %q", r.Installation(), other.Installation())
	}
	if elsewhere := newRig(t, r.opt); elsewhere.Installation() == r.Installation() {
		t.Error("two installations have one id")
	}
}

// numbers are never given twice, also when the transaction that took one failed.
func numbers(t *testing.T, r *rig) {
	var mu sync.Mutex
	got := map[string]map[int64]bool{"a": {}, "b": {}}
	var wg sync.WaitGroup
	for _, s := range []Handle{r.Handle, r.open(), r.open()} {
		for n := range 4 {
			wg.Go(func() {
				for k := range 15 {
					name := []string{"a", "b"}[k%2]
					var num int64
					err := s.Update(t.Context(), func(tx store.Tx) (err error) {
						if num, err = tx.NextNumber(name); err == nil && k == n {
							return errMine
						}
						return err
					})
					if err != nil {
						continue
					}
					mu.Lock()
					if got[name][num] || num < 1 {
						t.Errorf("%s got the number %d again", name, num)
					}
					got[name][num] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	update(t, r, func(tx store.Tx) error {
		a, err := tx.NextNumber("fresh")
		if err != nil {
			return err
		}
		b, err := tx.NextNumber("fresh")
		if a != 1 || b != 2 {
			t.Errorf("a new name's numbers are %d and %d", a, b)
		}
		return err
	})
	view(t, r, func(tx store.Tx) error {
		for name, want := range map[string]int64{"fresh": 2, "never": 0} {
			if n, err := tx.LastNumber(name); err != nil || n != want {
				t.Errorf("the last number of %q: %d, %v; want %d", name, n, err, want)
			}
		}
		return nil
	})
}

// versions: a handle's version changes when another has written, and not by itself.
func versions(t *testing.T, r *rig) {
	other := r.open()
	version := func(s Handle) int64 {
		t.Helper()
		v, err := s.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for n := range 5 {
		before := version(other)
		if version(other) != before {
			t.Error("it changed while nobody wrote")
		}
		kinds(t, r)
		if version(other) != before {
			t.Error("it changed by reading")
		}
		update(t, r, func(tx store.Tx) error { return event(tx, fmt.Sprint(n)) })
		if version(other) == before {
			t.Error("it did not change when the other handle wrote")
		}
	}
}

// workers have numbers of their own, and live as long as their handles.
func workers(t *testing.T, r *rig) {
	seen := map[int64]bool{}
	var last int64
	for range 20 {
		s := r.open()
		w := s.Worker()
		if w <= 0 || seen[w] || w == r.Worker() {
			t.Fatalf("worker %d", w)
		}
		seen[w] = true
		if !s.Alive(w) || !r.Alive(w) || !s.Alive(r.Worker()) || !r.Alive(r.Worker()) {
			t.Fatal("a worker that lives is said to be dead")
		}
		last = w
		if len(seen) == 10 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if r.Alive(w) {
				t.Fatal("a worker whose handle was closed is said to live")
			}
		}
	}
	if !r.Alive(last) {
		t.Error("the last one is said to be dead")
	}
	for _, w := range []int64{0, -1, 1 << 60, 12345678901} {
		if !seen[w] && r.Alive(w) {
			t.Errorf("worker %d, which never was, is said to live", w)
		}
	}
}

// slots: a row gives its number of places and no more, within a handle and across.
func slots(t *testing.T, r *rig) {
	other := r.open()
	var free []func()
	for n, s := range []Handle{r.Handle, other, r.Handle} {
		f, ok, err := s.Slot(7, 3)
		if err != nil || !ok {
			t.Fatalf("place %d: %v, %v", n, ok, err)
		}
		free = append(free, f)
	}
	for _, s := range []Handle{r.Handle, other} {
		if _, ok, err := s.Slot(7, 3); ok || err != nil {
			t.Fatalf("a fourth place of three: %v, %v", ok, err)
		}
		if f, ok, err := s.Slot(8, 1); !ok || err != nil {
			t.Fatalf("another row's place: %v, %v", ok, err)
		} else {
			f()
		}
		if _, ok, _ := s.Slot(9, 0); ok {
			t.Fatal("a place of none")
		}
	}
	free[1]()
	free[1]() // twice is once
	f, ok, err := r.Slot(7, 3)
	if err != nil || !ok {
		t.Fatalf("a place that came free: %v, %v", ok, err)
	}
	if _, ok, _ := other.Slot(7, 3); ok {
		t.Fatal("a place that was freed twice counts twice")
	}
	f()
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for range 1 {
		if _, ok, _ := r.Slot(7, 3); !ok {
			t.Fatal("a closed handle keeps its places")
		}
	}
	if !r.Alive(r.Worker()) {
		t.Error("the worker's own lock went with a place's")
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	now, most := 0, 0
	for range 16 {
		wg.Go(func() {
			for range 20 {
				f, ok, err := r.Slot(20, 4)
				if err != nil {
					t.Error(err)
				}
				if !ok {
					continue
				}
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				now--
				mu.Unlock()
				f()
			}
		})
	}
	wg.Wait()
	if most > 4 || most == 0 {
		t.Errorf("%d had one of four places at a time", most)
	}
}

const childVar = "HOSTLER_STORETEST_PLACE"

// Child is for TestMain. In the second process, which the suite starts, it opens the given place,
// takes a worker's number and a slot, writes, and waits to be killed. In any other process it
// returns at once.
func Child(open func(place string) (Handle, error)) {
	place := os.Getenv(childVar)
	if place == "" {
		return
	}
	s, err := open(place)
	if err == nil {
		_, ok, e := s.Slot(5, 1)
		err = e
		fmt.Println(s.Worker(), ok, s.Installation())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	in := bufio.NewScanner(os.Stdin)
	for n := 0; in.Scan(); n++ {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			if _, err := tx.NextNumber("n"); err != nil {
				return err
			}
			if err := event(tx, in.Text()); err != nil {
				return err
			}
			if in.Text() == "hang" {
				fmt.Println("hangs")
				select {}
			}
			return nil
		})
		fmt.Println(n, err)
	}
	os.Exit(0)
}

// processes: a second process is seen to live and to die. Its locks, and a transaction in its
// midst, end with it.
func processes(t *testing.T, r *rig) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childVar+"="+r.place)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	line := func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the second process ended; its TestMain must call storetest.Child")
		}
		return lines.Text()
	}
	var worker int64
	var slot bool
	var installation string
	if _, err := fmt.Sscan(line(), &worker, &slot, &installation); err != nil || !slot || installation != r.Installation() {
		t.Fatalf("it has worker %d, a place %v, installation %q: %v", worker, slot, installation, err)
	}
	if worker == r.Worker() || !r.Alive(worker) {
		t.Fatal("it is not said to live")
	}
	if _, ok, err := r.Slot(5, 1); ok || err != nil {
		t.Fatalf("its place is given twice: %v", err)
	}
	v, err := r.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "by the second")
	if s := line(); s != "0 <nil>" {
		t.Fatal(s)
	}
	if w, _ := r.Version(t.Context()); w == v {
		t.Error("Version did not change when another process wrote")
	}
	if got := fmt.Sprint(kinds(t, r)); got != "[by the second]" {
		t.Errorf("events: %s", got)
	}
	fmt.Fprintln(in, "hang")
	if s := line(); s != "hangs" {
		t.Fatal(s)
	}
	waits := make(chan error)
	go func() {
		waits <- r.Update(t.Context(), func(tx store.Tx) error {
			n, err := tx.NextNumber("n")
			if n != 2 {
				t.Errorf("the number after 1 is %d", n)
			}
			return err
		})
	}()
	if got := fmt.Sprint(kinds(t, r.open())); strings.Contains(got, "hang") {
		t.Errorf("events before a commit: %s", got)
	}
	select {
	case err := <-waits:
		t.Fatalf("a transaction ran beside another process's: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !r.soon(func() bool { return !r.Alive(worker) }) {
		t.Error("a killed process is said to live")
	}
	if err := <-waits; err != nil {
		t.Error(err)
	}
	var f func()
	if !r.soon(func() (ok bool) { f, ok, err = r.Slot(5, 1); return ok || err != nil }) || err != nil {
		t.Errorf("its place is not free again: %v", err)
	} else {
		f()
	}
	if got := fmt.Sprint(kinds(t, r)); got != "[by the second]" {
		t.Errorf("events after its death: %s", got)
	}
}

// closing while in use: commits stay, later calls are refused in plain words, and none hangs.
func closing(t *testing.T, r *rig) {
	s := r.open()
	var wg sync.WaitGroup
	var mu sync.Mutex
	committed := 0
	for n := range 16 {
		wg.Go(func() {
			for {
				err := s.Update(t.Context(), func(tx store.Tx) error { return event(tx, "e") })
				if err == nil {
					mu.Lock()
					committed++
					mu.Unlock()
				}
				if n%4 == 0 && err == nil {
					err = s.View(t.Context(), func(tx store.Tx) error {
						_, err := tx.Events(inventory.EventQuery{Newest: 1})
						return err
					})
				}
				if err != nil {
					is(t, "after Close", err, compute.ErrUnavailable)
					return
				}
			}
		})
	}
	time.Sleep(30 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if got := len(kinds(t, r)); got != committed {
		t.Errorf("%d are there of %d that were committed", got, committed)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	is(t, "Update", s.Update(t.Context(), func(store.Tx) error { return nil }), compute.ErrUnavailable)
	is(t, "View", s.View(t.Context(), func(store.Tx) error { return nil }), compute.ErrUnavailable)
	_, err := s.Version(t.Context())
	is(t, "Version", err, compute.ErrUnavailable)
	if r.Alive(s.Worker()) {
		t.Error("its worker is said to live")
	}
}
