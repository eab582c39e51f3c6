package pooltest

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

// world is all that one scenario makes: sources and their clouds, processes and their users, and
// the ledger of what the store was told.
type world struct {
	*Scenario
	sched   *scheduler
	dice    *rand.Rand // for all but the scheduler's choices and the users' programs
	dir     string
	bend    bend
	sources []*simSource
	users   []*user
	procs   []*process // by slot; nil: dead
	calm    bool       // failures and crashes are over
	commits atomic.Int64
	born    int // processes so far
	// until when there is no room for what asks for more than a source gives; 0: nobody does
	greedy time.Duration
	passed map[Passage]int
	engine func(*pool.Options)
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
	took  []Passage // in the transaction that runs
}

// Passage is a row of the table of steps.
type Passage struct {
	From compute.State
	Step steps.Step
}

// take is the engine's Took.
func (p *process) take(id compute.ID, from compute.State, s steps.Step, err error) {
	if err != nil {
		p.w.sched.fail("%s: %v", id, err)
	}
	p.took = append(p.took, Passage{from, s})
}

// newWorld makes the world of a scenario, and draws what the scenario leaves open.
func newWorld(s *Scenario, dir string, b bend) (*world, error) {
	bits := rand.NewPCG(s.Seed, 1)
	dice := rand.New(bits)
	w := &world{
		Scenario: s, dice: dice, dir: dir, bend: b, sched: newScheduler(rand.New(rand.NewPCG(s.Seed, 2))),
		passed: map[Passage]int{}, greedy: time.Duration(s.Weather.Greedy),
	}
	w.ledger = newLedger(w)
	w.sched.check = func() {}
	w.sched.crash = func(p *process) bool { return !w.calm && p.slot >= 0 && w.chance(w.Weather.Crashes) }
	drawn := len(s.Users) == 0
	if drawn {
		drawer{dice}.draw(s)
		w.greedy = time.Duration(s.Weather.Greedy)
	} else if len(s.Dice) > 0 {
		if err := bits.UnmarshalBinary(s.Dice); err != nil {
			return nil, fmt.Errorf("the dice of a scenario: %w", err)
		}
	}
	for _, of := range s.Sources {
		if err := w.found(of); err != nil {
			return nil, err
		}
	}
	w.procs = make([]*process, s.Processes)
	if !drawn {
		for _, of := range s.Users {
			w.users = append(w.users, &user{w: w, slot: of.Process, name: of.Name, left: len(of.Does), does: of.Does})
		}
		return w, nil
	}
	for slot := range s.Processes {
		for k := range 1 + dice.IntN(2) {
			w.users = append(w.users, &user{w: w, slot: slot, name: fmt.Sprintf("u%d%c", slot, 'a'+k), left: 3 + dice.IntN(10),
				dice: rand.New(rand.NewPCG(s.Seed, 100+uint64(10*slot+k)))})
		}
	}
	state, err := bits.MarshalBinary()
	s.Dice = state
	return w, err
}

// found makes a source of the scenario, and what stands in its cloud.
func (w *world) found(of Source) error {
	s := &simSource{Source: of.engine()}
	w.sources = append(w.sources, s)
	c := of.Cloud
	if c == nil {
		return nil
	}
	s.cloud, s.names, s.asIs, s.cleans, s.checks = fake.NewCloud(), c.Names, c.AsIs, c.Cleans, c.Checks
	s.boot, s.goes, s.fails = time.Duration(c.Boot), time.Duration(c.Goes), c.Fails
	s.outage = [2]time.Duration{time.Duration(c.Outage[0]), time.Duration(c.Outage[1])}
	if !c.Foreign {
		return nil
	}
	w.foreign = append(w.foreign, s)
	ctx := context.Background()
	f, err := fake.Open(ctx, slog.New(slog.DiscardHandler), fake.Options{Source: s.Name, Installation: others, Cloud: s.cloud})
	if err == nil {
		_, err = f.Create(ctx, compute.Spec{ID: compute.ID("foreign-" + s.Name), Source: s.Name, Installation: others})
	}
	return err
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
		LeaseIdle: 45 * time.Second, Inflight: p.desk, Inventory: w.Weather.Stocks,
		Projects: w.project,
		NewID:    func() string { p.ids++; return fmt.Sprintf("%s-%d", p.name, p.ids) }}
	if w.Weather.Later {
		opt.Later = func(string, string) bool { return true }
	}
	for _, s := range w.sources {
		if slot < 0 && s.Name == w.Lost {
			continue
		}
		src := s.Source
		if w.bend.noMaximum {
			src.Maximum = 0
		}
		opt.Sources = append(opt.Sources, src)
	}
	if w.engine != nil {
		w.engine(&opt)
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
		return pool.Project{
			Weight: w.Red.Weight, Quota: compute.Capacity{Count: w.Red.Quota}, Users: compute.Capacity{Count: w.Red.Users},
		}
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
		`no step "`, "constraint", "SQL", "the store is closed", "it has a lease", "is not open",
		"an instance of this name",
	} {
		if strings.Contains(err.Error(), bad) {
			w.sched.fail("an error that should not be: %v", err)
		}
	}
}

// gone tells whether a source, or one below it, is not configured any more.
func (w *world) gone(s *simSource) bool {
	if s.Name == w.Lost {
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
func dark(w *world, s *simSource) bool { return s.fails["open"] > 0 && !w.calm }
