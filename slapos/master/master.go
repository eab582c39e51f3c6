package master

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a master is.
type Options struct {
	Store Store
	// Computer is on which what names none is placed, and that need not be formatted to be asked
	// about; "": any computer that fits.
	Computer string
	// Products are software products by name; see Products.
	Products []Product
	// Frontends are shared instances that are answered without a host; nil: DefaultFrontends.
	Frontends []Frontend
	// Forwards says that below the URL of this master is http_proxy/SCHEME/ADDRESS/PATH, which
	// shows what is at that address: by it who is asked over https can be let in.
	Forwards bool
	// Masters are others, to which requests are passed on.
	Masters []External
	// Authority signs certificates; nil: there are none.
	Authority Authority
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

// A Master decides. All its methods may be called concurrently.
type Master struct {
	opt    Options
	store  Store
	log    *slog.Logger
	runID  string
	known  remembered
	heard  atomic.Int64 // how often something new was heard of nodes
	others sync.Map     // URLs of masters that are not this one, as was seen
	// its one place is taken by who looks for changes, for all that wait for one
	watch chan struct{}

	mu   sync.Mutex
	last int64            // the newest stamp that was given
	seen map[string]int64 // when nodes were seen last, as far as it is stored; Unix seconds
}

// New makes a master on a store, and reads what that has.
func New(ctx context.Context, opt Options) (*Master, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Frontends == nil {
		opt.Frontends = DefaultFrontends()
	}
	m := &Master{opt: opt, store: opt.Store, log: opt.Log, runID: newRunID(), seen: map[string]int64{}, watch: make(chan struct{}, 1)}
	m.known.memory, m.known.next = newMemory(), map[string]chan struct{}{}
	return m, m.fresh(ctx)
}

// Log is where it tells what happens.
func (m *Master) Log() *slog.Logger { return m.log }

// Certifies says whether there are certificates: it has an authority.
func (m *Master) Certifies() bool { return m.opt.Authority != nil }

// RunID is random, and another for each master that was started: by it one finds that a URL is its
// own.
func (m *Master) RunID() string { return m.runID }

func newRunID() string {
	text := rand.Text() + rand.Text()
	return strings.ToLower(text[:32])
}

// stamp is the time of a change: in microseconds, above those of all changes before that this
// master made or that the record has.
func (m *Master) stamp(before int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = max(time.Now().UnixMicro(), m.last+1, before+1)
	return m.last
}
