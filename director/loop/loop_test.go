package loop_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/director/loop"
)

// TestBeat has rounds at each tick from the first on, however long they take, and at each bell.
func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		bell, start := make(chan struct{}, 1), time.Now()
		var at []time.Duration
		go func() {
			time.Sleep(26 * time.Second)
			bell <- struct{}{}
		}()
		takes := []time.Duration{0, 3 * time.Second, 0, 12 * time.Second}
		loop.Beat{First: 5 * time.Second, Every: func() time.Duration { return 10 * time.Second }, Bell: bell}.Run(
			ctx, func(context.Context) {
				at = append(at, time.Since(start))
				if n := len(at) - 1; n < len(takes) {
					time.Sleep(takes[n])
				}
			},
		)
		var want []time.Duration
		for _, s := range []float64{5, 15, 25, 26, 38.1, 48.1, 58.1} {
			want = append(want, time.Duration(s*float64(time.Second)))
		}
		if !slices.Equal(at, want) {
			t.Errorf("rounds at %v, want %v", at, want)
		}
	})
}

// TestAct begins steps in their order, and no more at once than allowed. What a dry run shows, and
// what another director has to do, is not begun.
func TestAct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		log := slog.New(slog.NewTextHandler(&said, nil))
		var mu sync.Mutex
		var begun []int
		now, most, leads := 0, 0, true
		steps := make([]loop.Step, 12)
		for i := range steps {
			steps[i] = loop.Step{Log: log, Dry: i == 0, Begin: func(context.Context) (func(context.Context) error, error) {
				mu.Lock()
				defer mu.Unlock()
				begun = append(begun, i)
				switch i {
				case 1:
					return nil, errors.New("no record")
				case 2:
					return nil, nil
				case 5:
					leads = false
				}
				return func(context.Context) error {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					time.Sleep(time.Minute)
					mu.Lock()
					now--
					mu.Unlock()
					return errors.New("in vain")
				}, nil
			}}
		}
		a := loop.Actor{AtOnce: 2, Done: make(chan struct{}, 1), Leads: func() bool {
			mu.Lock()
			defer mu.Unlock()
			return leads
		}}
		var under sync.WaitGroup
		fates := a.Act(t.Context(), &under, steps)
		under.Wait()
		want := []loop.Fate{loop.Shown, loop.Begun, loop.Begun, loop.Begun, loop.Begun, loop.Begun}
		for range 6 {
			want = append(want, loop.Dropped)
		}
		if !reflect.DeepEqual(fates, want) || !slices.Equal(begun, []int{1, 2, 3, 4, 5}) || most != 2 {
			t.Errorf("fates %v, want %v; begun %v; %d at once", fates, want, begun, most)
		}
		for text, n := range map[string]int{
			"would be done": 1, "cannot be begun": 1, "msg=directive\n": 3, "directive failed": 3,
		} {
			if got := strings.Count(said.String(), text); got != n {
				t.Errorf("the log says %q %d times, want %d:\n%s", text, got, n, said.String())
			}
		}
		if len(a.Done) != 1 {
			t.Error("nothing is told when a directive was carried out")
		}
	})
}

// TestSlots has the smallest of several limits count, and none where there is none.
func TestSlots(t *testing.T) {
	source, provider, rack := &loop.Slots{Most: 3}, &loop.Slots{Most: 4, Busy: 2}, &loop.Slots{}
	if n := loop.Room(source, provider, rack); n != 2 {
		t.Errorf("room for %d, want 2", n)
	}
	loop.Take(2, source, rack)
	if n, m := loop.Room(source, provider), loop.Room(rack); n != 1 || m < 1000 {
		t.Errorf("room for %d, want 1, and without a limit for %d", n, m)
	}
	loop.Take(5, source)
	if n := loop.Room(source); n != 0 {
		t.Errorf("room for %d beyond the limit, want 0", n)
	}
}
