package pooltest

import (
	"bytes"
	"strings"
	"testing"
)

// TestSimulateBent breaks the wiring on purpose: the judges must see it, within so many seeds.
func TestSimulateBent(t *testing.T) {
	if raced {
		t.Skip("-race: it is for what the judges see, and the plain run shows that")
	}
	OneP(t)
	dir := Memory(t)
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
				o, err := simulate(t, Seed(seed), Options{Dir: dir}, c.bend)
				if err != nil {
					t.Fatal(err)
				}
				if o.Broken != "" {
					t.Logf("seed %d: %s", seed, o.Broken)
					return
				}
			}
			t.Errorf("not seen in %d seeds", most)
		})
	}
}

// TestScenario: what a seed did is written down, and done again as it was: the trace is the same,
// without the users' dice.
func TestScenario(t *testing.T) {
	OneP(t)
	dir := Memory(t)
	most := uint64(25)
	if raced {
		most = 3
	}
	for seed := uint64(1); seed <= most; seed++ {
		was, err := Simulate(t, Seed(seed), Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := was.Did.Write(&file); err != nil {
			t.Fatal(err)
		}
		s, err := Read(bytes.NewReader(file.Bytes()))
		if err != nil {
			t.Fatalf("seed %d: err = %v; want no error for\n%s", seed, err, file.String())
		}
		now, err := Simulate(t, s, Options{Dir: dir})
		if err != nil || now.Hash != was.Hash || now.Turns != was.Turns {
			t.Errorf("seed %d: %d turns, trace %x, %v, and by its scenario %d turns, trace %x: %s",
				seed, was.Turns, was.Hash, err, now.Turns, now.Hash, now.Broken)
		}
	}
}

// TestBadScenario: what is no scenario is refused, in words.
func TestBadScenario(t *testing.T) {
	const sources = `"processes":1,"sources":[{"name":"a","cloud":{}}]`
	for text, want := range map[string]string{
		``:               "it is no scenario",
		`{"scenario":7}`: "format 7 is not known",
		`{"sc":1}`:       "unknown field",
		`{"scenario":1,"sources":[{"name":"p","children":["a"]}]}`:                                  "which does not stand before it",
		`{"scenario":1,"sources":[{"name":"p"}]}`:                                                   "needs a cloud or children",
		`{"scenario":1,` + sources + `,"users":[{"name":"u","process":1}]}`:                         "has process 1 of 1",
		`{"scenario":1,` + sources + `,"users":[{"name":"u","does":[{}]}]}`:                         "does nothing",
		`{"scenario":1,` + sources + `,"users":[{"name":"u","does":[{"do":"fill","source":"b"}]}]}`: "and there is none",
		`{"scenario":1,` + sources + `,"users":[{"name":"u","does":[{"do":"run","count":2}]}]}`:     "runs 0 times, and says 2",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v; want %q in it", text, err, want)
		}
	}
}
