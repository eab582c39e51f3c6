package pool_test

import (
	"testing"
)

// TestReplay runs seeds twice: a failure that cannot be repeated is worth little.
func TestReplay(t *testing.T) {
	oneP(t)
	dir := memory(t)
	most := uint64(20)
	if raced {
		most = 3
	}
	for seed := uint64(1); seed <= most; seed++ {
		a, b := simulate(t, seed, dir, bend{}), simulate(t, seed, dir, bend{})
		if a.hash != b.hash || a.turns != b.turns {
			t.Errorf("seed %d went two ways: %d turns, trace %x, and %d turns, trace %x", seed, a.turns, a.hash, b.turns, b.hash)
		}
	}
}

// TestSimulateBent breaks the wiring on purpose: the judges must see it, within so many seeds.
func TestSimulateBent(t *testing.T) {
	if raced {
		t.Skip("-race: it is for what the judges see, and the plain run shows that")
	}
	oneP(t)
	dir := memory(t)
	for _, c := range []struct {
		name string
		bend bend
	}{
		{"the store forgets who works on what", bend{noWorker: true}},
		{"the store forgets the queue", bend{noQueue: true}},
		{"the store loses what it acknowledged", bend{loses: func(w *world) bool { return !w.calm && w.chance(0.02) }}},
		{"the provider says not found of what is there", bend{earlyGone: true}},
		{"the provider says that it cleaned and did not", bend{noClean: true}},
		{"the engine knows no maximum", bend{noMaximum: true}},
		{"a dead process is taken for a living one", bend{immortal: true}},
		{"a living process is taken for a dead one", bend{mortal: true}},
		{"a lease is never over", bend{noDue: true}},
		{"nothing is ever paused", bend{noPause: true}},
		{"old generations come back", bend{oldGeneration: true}},
		{"ended leases are seen as living", bend{undead: true}},
		{"priorities are forgotten", bend{noRank: true}},
		{"what projects have is forgotten", bend{noHeld: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const most = 400
			for seed := uint64(1); seed <= most; seed++ {
				if o := simulate(t, seed, dir, c.bend); o.broken != "" {
					t.Logf("seed %d: %s", seed, o.broken)
					return
				}
			}
			t.Errorf("not seen in %d seeds", most)
		})
	}
}
