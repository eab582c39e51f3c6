package master

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/certificate"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/master/usage"
	"github.com/hostler-project/hostler/store"
)

// Options say what a master is.
type Options struct {
	Store store.Transactor
	// Computer is on which what names none is placed, and that need not be formatted to be asked
	// about; "": any computer that fits.
	Computer string
	// Products are software products by name; see Products.
	Products []Product
	// Frontends are shared instances that are answered without a host; nil: those of the reference.
	Frontends []Frontend
	// Forwards says that http_proxy/SCHEME/ADDRESS/PATH below this master's URL shows the page at
	// that address. So a user that comes over https can be let in.
	Forwards bool
	// Masters are others, which get some of the requests.
	Masters []External
	// Authority signs certificates; nil: there are none.
	Authority certificate.Authority
	// Limits are those of a project and of one of its users; nil: there are none. It is called
	// within transactions.
	Limits func(project, user string) []Limit
	Log    *slog.Logger // nil: none
}

// A Product is a software product: a name for its releases, of which the best comes first.
type Product struct {
	Name string
	URLs []string
}

// A Master decides. All its methods, and those of its parts, may be called concurrently.
type Master struct {
	Ledger *ledger.Ledger
	notes  *statusRecords
	// Requests has what users and instances ask for.
	Requests *requests
	// Instances finds instances, and takes reports on them.
	Instances *instances
	// Computers has the nodes, with their supplies.
	Computers *computers
	// Statuses has the last reports on computers, releases and instances.
	Statuses *statuses
	// Usage has the nodes' reports of what they use.
	Usage *usage.Reports
	// Certificates has those of people, computers and instances, and tokens for them.
	Certificates *certificate.Certificates
}

// allocation finds places: a partition for an instance, a host for a shared one.
type allocation struct {
	ledger *ledger.Ledger
	opt    *Options
}

// trees carries what changes an instance to those that depend on it.
type trees struct {
	ledger     *ledger.Ledger
	allocation *allocation
}

// statusRecords keeps the nodes' reports on themselves.
type statusRecords struct {
	ledger *ledger.Ledger
	heard  atomic.Int64 // how often something new was heard of nodes

	mu   sync.Mutex
	seen map[string]int64 // when nodes were seen last, as far as it is stored; Unix seconds
}

// requests decides what becomes of a request.
type requests struct {
	ledger     *ledger.Ledger
	allocation *allocation
	trees      *trees
	opt        *Options
	others     sync.Map // URLs of masters that are not this one, as was seen
}

// instances has what there is by requests.
type instances struct {
	ledger   *ledger.Ledger
	trees    *trees
	statuses *statuses
}

// computers has the nodes, with their supplies.
type computers struct {
	ledger *ledger.Ledger
	trees  *trees
	notes  *statusRecords
	opt    *Options
	// its one place is taken by the goroutine that looks for changes, for all that wait for one
	watch chan struct{}
}

// statuses has the last reports on computers, releases and instances.
type statuses struct {
	ledger    *ledger.Ledger
	notes     *statusRecords
	computers *computers
}

// New makes a master on a store, and reads what that has.
func New(ctx context.Context, opt Options) (*Master, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Frontends == nil {
		opt.Frontends = defaultFrontends()
	}
	l := ledger.New(opt.Store, opt.Log, access.NoteChange)
	a := &allocation{l, &opt}
	t := &trees{l, a}
	n := &statusRecords{ledger: l, seen: map[string]int64{}}
	c := &computers{l, t, n, &opt, make(chan struct{}, 1)}
	s := &statuses{l, n, c}
	m := &Master{
		l, n, &requests{ledger: l, allocation: a, trees: t, opt: &opt}, &instances{l, t, s}, c, s,
		usage.New(l, func() { n.heard.Add(1) }), certificate.New(l, opt.Authority),
	}
	return m, l.Refresh(ctx)
}

// Log is the master's log.
func (m *Master) Log() *slog.Logger { return m.Ledger.Log }

// CheckDocument refuses a transaction that makes a node's document too large. Call it when all
// is saved.
func (m *Master) CheckDocument(b ledger.View, guid string) error {
	return m.Instances.trees.allocation.checkDocumentOf(b, guid)
}

// RunID is random, and another for each master that was started: by it one finds that a URL is its
// own.
func (m *Master) RunID() string { return m.Ledger.RunID }
