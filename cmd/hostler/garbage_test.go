package main

import "testing"

// TestGarbage: with little in use there may be much garbage, and less where there is much.
func TestGarbage(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, littleGarbage}, {littleHeap - 1, littleGarbage}, {littleHeap, usualGarbage}, {largeHeap, usualGarbage}, {largeHeap + 1, largeGarbage}, {1 << 30, largeGarbage}} {
		if got := garbage(c.live); got != c.want {
			t.Errorf("with %d bytes in use: %d%%, want %d%%", c.live, got, c.want)
		}
	}
}
