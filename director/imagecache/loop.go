package imagecache

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/loop"
	"github.com/hostler-project/hostler/store"
)

// Together is how many directives may be under way at a time on nodes that share something; 0: no
// limit.
type Together struct{ BMC, Rack, Conductor int }

// Options join a Loop to its surroundings.
type Options struct {
	Scout     metal.Scout
	Commander metal.Commander
	Strategy  metal.Strategy
	Store     store.Transactor

	PollSpacing      time.Duration // between two looks at images and flavors; 0: 120 s
	DirectiveSpacing time.Duration // between two rounds; 0: 120 s

	CacheRate, EjectRate loop.Rate // a period of 0: 300 s
	RebalanceRate        loop.Rate // of ejections that only even things out
	Together             Together
	// MaxEjectFraction is the share of cached nodes that a round may eject without a person's
	// permission; 0: 0.2; 1: no limit.
	MaxEjectFraction float64

	Answer   time.Duration // for a service to show that it has begun a directive; 0: 10 min
	Deadline time.Duration // for a directive to be done; 0: 1 h
	// Pause is how long a node is left alone after a failure. Each further failure doubles it, up
	// to an hour; 0: a minute.
	Pause time.Duration
	// after so many failures in a row a node is left alone for good; 0: 3; negative: never
	Quarantine int

	DryRun bool // do nothing, and say what would be done
	// Demand learns from the store's journal what is asked for (metal.Fleet.Demand). Without it,
	// demand is unknown.
	Demand bool
	// Lead is the time to write an image: demand within it counts; 0: 10 min.
	Lead time.Duration
	// Leads reports whether this loop is to decide now: of several on a store one does. nil: it is.
	Leads func() bool
	// Told is called with each round's report. It must not block. It may be nil.
	Told func(*Report)
	Log  *slog.Logger // nil: none
}

const (
	usualSpacing    = 120 * time.Second
	usualPeriod     = 300 * time.Second
	usualAnswer     = 10 * time.Minute
	usualDeadline   = time.Hour
	usualFraction   = 0.2
	usualPause      = time.Minute
	usualQuarantine = 3

	// atOnce is how many directives are issued concurrently.
	atOnce = 8
)

// Loop keeps images cached: it looks, decides, and acts. It records each directive before it is
// issued, for the process that goes on after a crash, and for others on the same store. Its methods
// may be called from several goroutines; rounds run one at a time.
type Loop struct {
	opt   Options
	book  records
	round sync.Mutex // one at a time

	images  []metal.Image // as polled last; nil: not known
	flavors []string
	before  *lastFleet // of the last round; a dry run keeps it here alone

	limits limits // as they are where nothing is recorded
	tracks tracks

	actor   loop.Actor
	reports loop.Reports[*Report]
}

// New makes a loop. It starts nothing.
func New(opt Options) (*Loop, error) {
	for what, missing := range map[string]bool{
		"Scout": opt.Scout == nil, "Commander": opt.Commander == nil, "Strategy": opt.Strategy == nil,
		"Store": opt.Store == nil,
	} {
		if missing {
			return nil, &compute.Error{Op: "caching.New", Kind: compute.ErrInvalid, Err: errMissing(what)}
		}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	opt.PollSpacing, opt.DirectiveSpacing = cmp.Or(opt.PollSpacing, usualSpacing), cmp.Or(opt.DirectiveSpacing, usualSpacing)
	opt.MaxEjectFraction = cmp.Or(opt.MaxEjectFraction, usualFraction)
	opt.Answer, opt.Deadline, opt.Pause, opt.Quarantine = cmp.Or(opt.Answer, usualAnswer), cmp.Or(opt.Deadline, usualDeadline), cmp.Or(opt.Pause, usualPause), cmp.Or(opt.Quarantine, usualQuarantine)
	return &Loop{opt: opt, book: records{opt.Store}, limits: newLimits(&opt, time.Now().UTC()),
		actor: loop.Actor{Leads: opt.Leads, AtOnce: atOnce}, reports: loop.Reports[*Report]{Told: opt.Told}}, nil
}

// errMissing names a required option that is not set.
type errMissing string

func (e errMissing) Error() string { return string(e) + " is required" }

// Run does a round each DirectiveSpacing until ctx ends. It polls images and flavors at once,
// before the first round, and then each PollSpacing. Errors are logged, and repaired by a later
// round. It returns nil.
func (l *Loop) Run(ctx context.Context) error {
	var polls sync.WaitGroup
	defer polls.Wait()
	polls.Go(func() {
		loop.Beat{Every: func() time.Duration { return l.opt.PollSpacing }}.Run(ctx, l.poll)
	})
	loop.Beat{First: l.opt.DirectiveSpacing, Every: func() time.Duration { return l.opt.DirectiveSpacing }}.Run(
		ctx, func(ctx context.Context) {
			if l.actor.Leads.Now() {
				_, _ = l.Round(ctx) // it has logged what was wrong
			}
		},
	)
	return nil
}

// Last returns the report of the last round; nil: there was none.
func (l *Loop) Last() *Report {
	last, _ := l.reports.Last()
	return last
}

// poll reads images and flavors anew. After an error they are unknown, and the next round reads
// them again.
func (l *Loop) poll(ctx context.Context) {
	l.round.Lock()
	defer l.round.Unlock()
	if err := l.lists(ctx); err != nil && ctx.Err() == nil {
		l.opt.Log.Warn("images and flavors cannot be read: nothing is done until they can", "err", err)
	}
}

// lists reads images and flavors. The caller holds round.
func (l *Loop) lists(ctx context.Context) (err error) {
	l.images, l.flavors = nil, nil
	images, err := l.opt.Scout.Images(ctx)
	if err != nil {
		return err
	}
	flavors, err := l.opt.Scout.Flavors(ctx)
	if err != nil {
		return err
	}
	l.images, l.flavors = append([]metal.Image{}, images...), append([]string{}, flavors...)
	return nil
}

// Confirm stores a person's permission, until a time, to eject up to so many nodes at once in spite
// of MaxEjectFraction, and to believe lists that have shrunk.
func Confirm(ctx context.Context, store store.Transactor, c Confirmation) error {
	return records{store}.save(ctx, confirmedNote, c)
}

// Forget removes what is remembered of nodes, so that they are commanded again: failures,
// quarantine and directives under way. The caller knows that these are over.
func Forget(ctx context.Context, store store.Transactor, nodes ...string) error {
	return records{store}.forget(ctx, nodes)
}

// NodeRecords returns what is remembered of nodes, by their ids.
func NodeRecords(ctx context.Context, store store.Transactor) (map[string]*NodeRecord, error) {
	s, err := records{store}.read(ctx)
	if err != nil {
		return nil, err
	}
	return s.flights, nil
}
