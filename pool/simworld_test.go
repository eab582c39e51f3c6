package pool_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

// bend is what a simulation breaks on purpose, to show that its judges see it.
type bend struct {
	noWorker  bool                // the store forgets who works on what
	noQueue   bool                // the store forgets who waits
	loses     func(w *world) bool // the store loses a transaction that it acknowledged
	earlyGone bool                // the provider says not found of what is still there
	noClean   bool                // the provider says that it cleaned and did not
	noMaximum bool                // the engine is told of no maximum
	immortal  bool                // the store says that everybody lives
	mortal    bool                // the store says that nobody else lives
	noDue     bool                // the store finds no lease that is over
	noPause   bool                // the store forgets until when a source is paused
	undead    bool                // the store forgets that a lease ended
	noRank    bool                // the store forgets the priorities of those who wait
	noHeld    bool                // the store forgets what projects have

	oldGeneration bool // the store forgets to count an instance's hand-outs
}

// forgets tells whether the store is bent: then it is the engine's doing that must give it away,
// not the comparison of what the store has.
func (b bend) forgets() bool {
	return b.noWorker || b.noDue || b.noPause || b.undead || b.oldGeneration || b.loses != nil
}

// world is all that one seed makes: sources and their clouds, processes and their users, and the
// ledger of what the store was told.
type world struct {
	sched   *scheduler
	dice    *rand.Rand // for all but the scheduler's choices and the users' programs
	dir     string
	bend    bend
	sources []*simSource
	users   []*user
	procs   []*process // by slot; nil: dead
	calm    bool       // failures and crashes are over
	commits atomic.Int64
	crashes float64 // the chance of each turn
	twice   float64 // of a transaction to be run twice
	slow    float64 // of a call to take time
	sick    float64 // of a transaction to fail
	born    int     // processes so far
	later   bool    // a release leaves the work to others
	stocks  bool    // the providers' lists are compared with the records
	red     pool.Project
	// until when there is no room for what asks for more than a source gives; 0: nobody does
	greedy time.Duration
	lost   string // the source that is not configured any more in the end; "": none
	passed map[passage]int
	ledger
}

// simSource is a source, and its place in the world where it is a leaf.
type simSource struct {
	pool.Source
	cloud    *fake.Cloud
	names    []string // of a provider of machines that stay
	asIs     bool     // the provider's default
	cleans   bool
	checks   bool
	boot     time.Duration
	goes     time.Duration
	fails    map[string]float64 // by operation; "create-answer": the answer is lost
	outage   [2]time.Duration   // when every create fails
	attempts int                // creates while it lasted
}

// others is the installation of somebody else.
const others = "another-installation"

// process is one life of a hostler process.
type process struct {
	w     *world
	name  string
	slot  int
	dead  atomic.Bool // set by the scheduler alone
	store *simStore
	pool  *pool.Pool
	desk  *pool.Inflight
	opt   pool.Options
	ids   int
	took  []passage // in the transaction that runs
}

// passage is a row of the table of steps.
type passage struct {
	from compute.State
	step steps.Step
}

// take is the engine's Took.
func (p *process) take(_ compute.ID, from compute.State, s steps.Step) {
	p.took = append(p.took, passage{from, s})
}

// newWorld draws a world from a seed.
func newWorld(seed uint64, dir string, b bend) *world {
	dice := rand.New(rand.NewPCG(seed, 1))
	w := &world{passed: map[passage]int{}, dice: dice, dir: dir, bend: b, sched: newScheduler(rand.New(rand.NewPCG(seed, 2)))}
	w.ledger = newLedger(w)
	w.sched.check = func() {}
	w.sched.crash = func(p *process) bool { return !w.calm && p.slot >= 0 && w.chance(w.crashes) }
	w.crashes = pick(dice, 0, 0.002, 0.01, 0.03)
	w.twice, w.slow = pick(dice, 0, 0.1), pick(dice, 0, 0.05, 0.3)
	w.sick = pick(dice, 0, 0, 0, 0.01)
	w.later, w.stocks = dice.IntN(3) == 0, dice.IntN(3) == 0
	w.red = pool.Project{
		Weight: pick[float64](dice, 0, 1, 3), Quota: compute.Capacity{Count: pick(dice, 0, 0, 0, 2, 4)},
		Users: compute.Capacity{Count: pick(dice, 0, 0, 0, 2)},
	}
	if dice.IntN(3) == 0 {
		w.greedy = w.upTo(2 * time.Minute)
	}
	w.draw()
	if dice.IntN(4) == 0 {
		w.lost = pick(dice, w.sources...).Name
	}
	n := 1 + dice.IntN(4)
	w.procs = make([]*process, n)
	for slot := range n {
		for k := range 1 + dice.IntN(2) {
			w.users = append(w.users, &user{w: w, slot: slot, name: fmt.Sprintf("u%d%c", slot, 'a'+k), left: 3 + dice.IntN(10),
				dice: rand.New(rand.NewPCG(seed, 100+uint64(10*slot+k)))})
		}
	}
	return w
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (w *world) chance(p float64) bool { return p > 0 && w.dice.Float64() < p }

// upTo draws a duration that no other timer's is likely to equal.
func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.dice.Int64N(int64(d))) + 1
}

// sleep lets time pass, and comes back only when it is this goroutine's turn.
func (w *world) sleep(p *process, d time.Duration) {
	time.Sleep(d)
	w.sched.yield(p, "slept")
}

// draw makes the sources.
func (w *world) draw() {
	d := w.dice
	leaves := 1 + d.IntN(3)
	span := func(zero float64, to time.Duration) time.Duration {
		if d.Float64() < zero {
			return 0
		}
		return w.upTo(to)
	}
	for n := range leaves {
		s := &simSource{cloud: fake.NewCloud(), fails: map[string]float64{}}
		s.Name, s.Type, s.Digest = fmt.Sprintf("l%d", n), "fake", "d"
		s.Reserve, s.Spare, s.Maximum = pick(d, 0, 0, 1, 2), pick(d, 0, 0, 0, 1), pick(d, 0, 1, 2, 3, 4)
		s.Cold = pick(d, 0, 0, 1, 2)
		s.Idle, s.MaxAge = span(0.7, 20*time.Second), span(0.8, 60*time.Second)
		s.MaxUses, s.OnFailure = pick(d, 0, 0, 0, 1, 3), pick(d, "", "", "hold")
		s.TTL, s.MaxTTL, s.LeaseIdle = span(0.7, 30*time.Second), span(0.8, 60*time.Second), span(0.6, 20*time.Second)
		s.Hooks = w.hooks("provision", "discard", "acquire", "release", "check")
		s.boot, s.goes = span(0.5, 3*time.Second), span(0.5, 2*time.Second)
		s.Concurrency = pick(d, 0, 1, 2)
		switch d.IntN(6) {
		case 0:
			s.names, s.asIs, s.cleans = []string{"a", "b", "c"}[:1+d.IntN(3)], true, d.IntN(2) == 0
			s.Reuse = pick(d, "", "as-is", "clean", "no")
		case 1:
		default:
			s.cleans = true
			s.Reuse = pick(d, "", "", "", "as-is", "clean", "no")
		}
		s.checks = d.IntN(2) == 0
		for _, op := range []string{
			"create", "create-answer", "destroy", "destroy-answer", "connect", "clean", "clean-answer", "check", "hook",
			"open", "stop", "start", "start-answer",
		} {
			if d.IntN(3) == 0 {
				s.fails[op] = pick(d, 0.02, 0.1, 0.3)
			}
		}
		if d.IntN(4) == 0 {
			from := w.upTo(30 * time.Second)
			s.outage = [2]time.Duration{from, from + w.upTo(60*time.Second)}
		}
		for range d.IntN(2) {
			f, err := fake.Open(
				context.Background(), slog.New(slog.DiscardHandler),
				fake.Options{Source: s.Name, Installation: others, Cloud: s.cloud},
			)
			if err == nil {
				_, err = f.Create(
					context.Background(),
					compute.Spec{ID: compute.ID("foreign-" + s.Name), Source: s.Name, Installation: others},
				)
			}
			if err != nil {
				w.sched.fail("%v", err)
			}
			w.foreign = append(w.foreign, s)
		}
		w.sources = append(w.sources, s)
	}
	for n := range d.IntN(3) {
		s := &simSource{}
		s.Name, s.Type, s.Digest = fmt.Sprintf("p%d", n), "pool", "d"
		for _, c := range d.Perm(len(w.sources))[:1+d.IntN(min(3, len(w.sources)))] {
			s.Children = append(s.Children, w.sources[c].Name) // earlier pools among them
		}
		s.Reserve, s.Spare, s.Maximum = pick(d, 0, 0, 1, 2), pick(d, 0, 0, 1), pick(d, 0, 0, 1, 3)
		s.Idle, s.LeaseIdle, s.MaxUses = span(0.7, 20*time.Second), span(0.6, 20*time.Second), pick(d, 0, 0, 0, 2)
		s.Hooks = w.hooks("provision", "discard", "acquire", "release", "check")
		w.sources = append(w.sources, s)
	}
}

func (w *world) hooks(events ...string) (out []string) {
	for _, e := range events {
		if w.dice.IntN(6) == 0 {
			out = append(out, e)
		}
	}
	return out
}

func (w *world) source(name string) *simSource {
	for _, s := range w.sources {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// start begins a process in a slot, and lets its users go on with their programs.
func (w *world) start(slot int) *process {
	w.born++
	p := &process{w: w, slot: slot, name: fmt.Sprintf("%c%d", 'A'+slot, w.born)}
	if slot < 0 {
		p.name = fmt.Sprintf("Z%d", w.born)
	}
	st, err := sqlite.Open(context.Background(), w.dir+"/state.db", sqlite.Options{Unsafe: true})
	if err != nil {
		w.sched.fail("open the store: %v", err)
		p.dead.Store(true)
		return p
	}
	p.store, p.desk = &simStore{Store: st, w: w, proc: p, bend: w.bend}, &pool.Inflight{}
	opt := pool.Options{Store: p.store, Open: p.open, Hooks: p.hook, Step: func(name string) { w.sched.yield(p, name) },
		Took:      p.take,
		LeaseIdle: 45 * time.Second, Inflight: p.desk, Inventory: w.stocks,
		Projects: w.project,
		NewID:    func() string { p.ids++; return fmt.Sprintf("%s-%d", p.name, p.ids) }}
	if w.later {
		opt.Later = func(string, string) bool { return true }
	}
	for _, s := range w.sources {
		if slot < 0 && s.Name == w.lost {
			continue
		}
		src := s.Source
		if w.bend.noMaximum {
			src.Maximum = 0
		}
		opt.Sources = append(opt.Sources, src)
	}
	p.opt = opt
	if p.pool, err = pool.New(opt); err != nil {
		w.sched.fail("make an engine: %v", err)
	}
	if slot >= 0 {
		w.procs[slot] = p
		for _, u := range w.users {
			if u.slot == slot && !u.done {
				go u.live(p)
			}
		}
	}
	return p
}

// project is how projects are configured.
func (w *world) project(name string) pool.Project {
	if name == "red" {
		return w.red
	}
	return pool.Project{}
}

// reload gives a process an engine by another configuration, in which those wait from then on who
// wait in the old one.
func (p *process) reload() {
	opt := p.opt
	opt.Sources = slices.Clone(opt.Sources)
	for n := range opt.Sources {
		s := &opt.Sources[n]
		s.Reserve, s.Spare, s.Idle = p.w.dice.IntN(3), p.w.dice.IntN(2), pick(p.w.dice, 0, p.w.upTo(20*time.Second))
	}
	next, err := pool.New(opt)
	if err != nil {
		p.w.sched.fail("make another engine: %v", err)
		return
	}
	was := p.pool
	p.pool = next
	was.HandOver(next)
}

// kill ends a process as kill -9 does: nothing that it does from now on has an effect. Its users
// try again with another one later.
func (p *process) kill() {
	if p.dead.Swap(true) {
		return
	}
	if err := p.store.Close(); err != nil {
		p.w.sched.fail("close the store: %v", err)
	}
	for key := range p.w.slots {
		if key.proc == p {
			delete(p.w.slots, key)
		}
	}
	if p.slot >= 0 {
		p.w.procs[p.slot] = nil
		after := p.w.upTo(5 * time.Second)
		go func() {
			god := &process{w: p.w, name: "-", slot: -1}
			p.w.sleep(god, after)
			if !p.w.calm || p.w.busy(p.slot) {
				p.w.start(p.slot)
			}
		}()
	}
}

// busy tells whether a slot's users, or those of all (-1), have something left to do.
func (w *world) busy(slot int) bool {
	for _, u := range w.users {
		if (slot < 0 || u.slot == slot) && !u.done {
			return true
		}
	}
	return false
}

// judge looks at an error that the engine or the store gave: some must never be seen.
func (w *world) judge(err error) {
	if err == nil {
		return
	}
	for _, bad := range []string{
		"no step leads", "constraint", "SQL", "the store is closed", "it has a lease", "is not open",
		"an instance of this name",
	} {
		if strings.Contains(err.Error(), bad) {
			w.sched.fail("an error that should not be: %v", err)
		}
	}
}

// gone tells whether a source, or one below it, is not configured any more.
func (w *world) gone(s *simSource) bool {
	if s.Name == w.lost {
		return true
	}
	for _, c := range s.Children {
		if w.gone(w.source(c)) {
			return true
		}
	}
	return false
}

// dark tells whether a source's provider may not open just now.
func (w *world) dark(s *simSource) bool { return s.fails["open"] > 0 && !w.calm }
