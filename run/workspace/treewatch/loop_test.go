package treewatch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/run/workspace/treewatch"
)

// play runs a Loop whose command takes ten seconds, tells changes at some seconds, ends it after a
// minute, and returns when runs began and ended.
func play(t *testing.T, restart bool, changes ...int) (began, ended []int) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		changed := make(chan struct{}, 1)
		for _, at := range changes {
			time.AfterFunc(time.Duration(at)*time.Second, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
		}
		second := func() int { return int(time.Since(start) / time.Second) }
		running := 0
		treewatch.Loop(ctx, changed, restart, func(stop <-chan struct{}) {
			if running++; running > 1 {
				t.Error("two at once")
			}
			began = append(began, second())
			select {
			case <-stop:
				time.Sleep(time.Second) // as long as it takes to end
			case <-time.After(10 * time.Second):
			}
			ended = append(ended, second())
			running--
		})
		if restart := time.Since(start); restart < time.Minute {
			t.Errorf("ended after %v", restart)
		}
	})
	return began, ended
}

func TestLoop(t *testing.T) {
	for name, c := range map[string]struct {
		restart      bool
		changes      []int
		began, ended []int
	}{
		"nothing changes":      {false, nil, []int{0}, []int{10}},
		"while it waits":       {false, []int{15, 40}, []int{0, 15, 40}, []int{10, 25, 50}},
		"while it runs":        {false, []int{1, 2, 3, 4}, []int{0, 10}, []int{10, 20}},
		"until the very end":   {false, []int{55}, []int{0, 55}, []int{10, 65}},
		"restart":              {true, []int{3}, []int{0, 4}, []int{4, 14}},
		"restart, many":        {true, []int{3, 5, 30}, []int{0, 4, 6, 30}, []int{4, 6, 16, 40}},
		"restart, as it stops": {true, []int{5, 5}, []int{0, 6}, []int{6, 16}},
	} {
		t.Run(name, func(t *testing.T) {
			began, ended := play(t, c.restart, c.changes...)
			if !slices.Equal(began, c.began) || !slices.Equal(ended, c.ended) {
				t.Errorf("began at %v, ended at %v; and not %v, %v", began, ended, c.began, c.ended)
			}
		})
	}
}
