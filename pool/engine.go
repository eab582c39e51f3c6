package pool

import (
	"log/slog"
	"sync"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/journal"
)

// The engine's parts, the lowest first. Each knows only parts that stand before it here. Pool is
// the door to them.

// core has the store, the configured sources, and what this process works on. It moves records from
// state to state, and wakes requests that wait.
type core struct {
	opt        Options
	store      Store
	log        *slog.Logger
	inflight   *Inflight
	sources    map[string]*Source // the configured ones, by name; fixed at New
	ordered    []*Source          // the same, by name, so that every run has the same order
	recent     journal.Recent     // what the journal says of the leases of the last time
	throughput journal.Throughput

	mu     sync.Mutex // guards the rest, and the maps of the other parts
	states map[*Source]*sourceState
	next   *core // of the engine that took over; nil: none
	// the queue may have requests of this process that nothing waits for
	staleRequests bool
	changed       chan struct{} // closed when something may have come free
}

// clock ends leases in time, also where a machine's clock was set.
type clock struct{ core *core }

// providers opens providers and notes whether their places answer. It runs hooks.
type providers struct {
	core   *core
	opened map[int64]*opened // by source key
	// how many transactions under way found that a provider does not open, by source key
	shut  map[int64]int
	sizes map[int64]compute.Amount // of the last instance made without a choice, by source key
}

// templates knows what instances are made of, and the images that were promoted.
type templates struct {
	core      *core
	providers *providers
	reads     map[int64]templateRead     // by source key, as read for transactions under way
	inquiries map[int64]*templateReading // of templates, by source keys
}

// records joins decisions to the store: it gives them their view, writes their changes, and counts
// failures.
type records struct {
	core      *core
	providers *providers
	templates *templates
}

// leases finds, renews and ends leases.
type leases struct {
	core    *core
	clock   *clock
	records *records
}

// creation makes instances, sets them up and checks them, up to their hand-out or the cache.
type creation struct {
	core      *core
	providers *providers
	templates *templates
	records   *records
	leases    *leases
}

// disposal cleans and discards instances, and takes them back from leases.
type disposal struct {
	core      *core
	clock     *clock
	providers *providers
	templates *templates
	records   *records
	leases    *leases
	creation  *creation
}

// handouts is a request's way from a decision to leases that its user has.
type handouts struct {
	core      *core
	providers *providers
	records   *records
	creation  *creation
	disposal  *disposal
}

// health asks what has become of instances, and records those that have ended.
type health struct {
	core      *core
	providers *providers
	records   *records
	disposal  *disposal
	// looks at the ready instances of sources that have many, by source key
	sweeps map[int64]*sweep
}

// ahead has providers keep computers standing ahead of need.
type ahead struct {
	core      *core
	providers *providers
	records   *records
	said      map[int64]aheadCall // what they were told, by source key
}

// rollouts replaces instances that are made of what is not their source's any more.
type rollouts struct {
	core      *core
	templates *templates
	records   *records
	disposal  *disposal
	handouts  *handouts
	rolls     map[string]bool // sources whose instances are being replaced
}

// background does what is due: ended leases, what dead processes left, surplus, the cache.
type background struct {
	core      *core
	clock     *clock
	providers *providers
	templates *templates
	records   *records
	creation  *creation
	disposal  *disposal
	handouts  *handouts
	health    *health
	rollouts  *rollouts
}

// queue has the requests of this process that wait, and serves them in their turn.
type queue struct {
	core       *core
	templates  *templates
	records    *records
	handouts   *handouts
	background *background
	waiters    waiters
	next       *queue // of the engine that took over, guarded by core.mu; nil: none
}

// Pool is the engine. It implements compute.Leaser.
type Pool struct {
	core       *core
	clock      *clock
	providers  *providers
	templates  *templates
	records    *records
	leases     *leases
	creation   *creation
	disposal   *disposal
	handouts   *handouts
	health     *health
	ahead      *ahead
	rollouts   *rollouts
	background *background
	queue      *queue
}

var _ compute.Leaser = (*Pool)(nil)

// assemble joins the parts of an engine.
func assemble(c *core) *Pool {
	p := &Pool{core: c, clock: &clock{c}}
	p.providers = &providers{core: c, opened: map[int64]*opened{}, shut: map[int64]int{}, sizes: map[int64]compute.Amount{}}
	p.templates = &templates{
		core: c, providers: p.providers, reads: map[int64]templateRead{}, inquiries: map[int64]*templateReading{},
	}
	p.records = &records{c, p.providers, p.templates}
	p.leases = &leases{c, p.clock, p.records}
	p.creation = &creation{c, p.providers, p.templates, p.records, p.leases}
	p.disposal = &disposal{c, p.clock, p.providers, p.templates, p.records, p.leases, p.creation}
	p.handouts = &handouts{c, p.providers, p.records, p.creation, p.disposal}
	p.health = &health{core: c, providers: p.providers, records: p.records, disposal: p.disposal}
	p.ahead = &ahead{core: c, providers: p.providers, records: p.records, said: map[int64]aheadCall{}}
	p.rollouts = &rollouts{c, p.templates, p.records, p.disposal, p.handouts, map[string]bool{}}
	p.background = &background{
		c, p.clock, p.providers, p.templates, p.records, p.creation, p.disposal, p.handouts, p.health, p.rollouts,
	}
	p.queue = &queue{core: c, templates: p.templates, records: p.records, handouts: p.handouts, background: p.background}
	return p
}
