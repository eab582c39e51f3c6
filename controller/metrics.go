package controller

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/observe/metric"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// metricSet are a controller's metrics: what it counts, and what it looks up at each scrape. A nil
// one measures nothing.
type metricSet struct {
	Reg      *metric.Registry
	engine   engineMetrics
	director directorMetrics
	server   serverMetrics
	sources  sourceMetrics
}

// engineMetrics are what the engine and the providers did.
type engineMetrics struct {
	acquires, creations, calls metric.Counter
	acquire, wait, phase, call metric.Histogram
}

// directorMetrics are what the director did.
type directorMetrics struct {
	rounds, directives metric.Counter
	look               metric.Histogram
}

// serverMetrics are requests to the API, transactions and deliveries to webhooks.
type serverMetrics struct {
	requests, transactions, deliveries metric.Counter
	request, transaction, delivery     metric.Histogram
}

// sourceMetrics are the state of the sources.
type sourceMetrics struct {
	instances, leases, wanted, most, waiting, broken, paused, failures, cost, ok metric.Gauge
}

// The bounds of the histograms, in seconds: for work done here, and for what users wait for.
var (
	quick   = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30}
	lengthy = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800}
)

// scrapeTime is how long sources may take to report at a scrape. A scraper usually waits ten
// seconds.
const scrapeTime = 5 * time.Second

// NewMetrics returns the metrics of a controller, with those of the process and the build.
func NewMetrics() *metricSet {
	r := metric.New()
	r.Process()
	v := version.Read()
	r.Gauge(
		"hostler_build_info", "The program: always 1.", "version", "goversion", "os", "arch",
	).Set(1, v.Version, runtime.Version(), v.OS, v.Arch)
	return &metricSet{
		Reg: r,
		engine: engineMetrics{
			acquires: r.Counter(
				"hostler_acquires_total",
				"Requests for instances that were answered, by whether all stood ready (hit), or why they failed.", "source",
				"result",
			),
			acquire: r.Histogram(
				"hostler_acquire_seconds",
				"How long requests for instances took that were given some, waiting and making included.", lengthy, "source",
				"result",
			),
			wait:      r.Histogram("hostler_wait_seconds", "How long requests stood in the queue that had to.", lengthy, "source"),
			creations: r.Counter("hostler_creations_total", "Instances that were made (ok), or why not.", "source", "result"),
			phase:     r.Histogram("hostler_phase_seconds", "How long each phase of making an instance took.", lengthy, "source", "phase"),
			calls:     r.Counter("hostler_provider_calls_total", "Calls to providers, by how they ended.", "source", "op", "result"),
			call:      r.Histogram("hostler_provider_call_seconds", "How long calls to providers took.", lengthy, "source", "op"),
		},
		director: directorMetrics{
			rounds: r.Counter("hostler_director_rounds_total", "Looks of the director at the sources.", "result"),
			look:   r.Histogram("hostler_director_look_seconds", "How long the director took to look at the sources.", quick),
			directives: r.Counter(
				"hostler_directives_total", "Directives of the director that were begun, or could not be.", "source", "verb",
				"result",
			),
		},
		server: serverMetrics{
			requests: r.Counter("hostler_api_requests_total", "Requests to the API.", "method", "route", "status"),
			request: r.Histogram(
				"hostler_api_request_seconds",
				"How long requests to the API took; streams take as long as somebody listens.", lengthy, "method", "route",
			),
			transactions: r.Counter("hostler_store_transactions_total", "Transactions on the state.", "op", "result"),
			transaction: r.Histogram(
				"hostler_store_transaction_seconds",
				"How long transactions on the state took, waiting for each other included.", quick, "op",
			),
			deliveries: r.Counter("hostler_webhook_deliveries_total", "Tries to deliver to webhooks.", "webhook", "result"),
			delivery:   r.Histogram("hostler_webhook_delivery_seconds", "How long tries to deliver to webhooks took.", lengthy, "webhook"),
		},
		sources: sourceMetrics{
			instances: r.Gauge("hostler_instances", "Instances, by what they are doing.", "source", "state"),
			leases:    r.Gauge("hostler_leases", "Instances that are leased.", "source"),
			wanted:    r.Gauge("hostler_wanted_instances", "Instances that are wanted, in use and not.", "source"),
			most: r.Gauge(
				"hostler_maximum_instances", "Instances that there may be at most; left out where there is no limit.",
				"source",
			),
			waiting:  r.Gauge("hostler_queue_requests", "Requests that wait in the queue.", "source"),
			broken:   r.Gauge("hostler_source_broken", "1 where a source cannot be used.", "source"),
			paused:   r.Gauge("hostler_source_paused", "1 while nothing is made after failures.", "source"),
			failures: r.Gauge("hostler_source_failures", "Failures to make an instance, in a row.", "source"),
			cost:     r.Gauge("hostler_cost_per_hour", "What the instances of a source cost for an hour, where it has a price.", "source"),
			ok:       r.Gauge("hostler_sources_looked", "1 where the sources could be asked how they stand, for this answer."),
		},
	}
}

// handler answers scrapes; nil: nothing is measured.
func (m *metricSet) handler() http.Handler {
	if m == nil {
		return nil
	}
	return m.Reg
}

// WatchSources reads the state of the sources from the current engine at each scrape. It uses
// the counts in their records and does not look at each instance.
func (m *metricSet) WatchSources(now func() (inventory.Book, *config.Config)) {
	m.Reg.Before(func() {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
		defer cancel()
		book, cfg := now()
		all, err := book.Status(ctx)
		at := m.sources
		for _, g := range []metric.Gauge{
			at.instances, at.leases, at.wanted, at.most, at.waiting, at.broken, at.paused, at.failures, at.cost,
		} {
			g.Reset()
		}
		if err != nil {
			m.sources.ok.Set(0)
			return
		}
		m.sources.ok.Set(1)
		prices := map[string]float64{}
		for _, s := range cfg.Sources {
			prices[s.Name] = s.Price
		}
		for _, s := range all {
			m.stand(s, prices[s.Name])
		}
	})
}

// stand adds the state of a source. A name with several definitions is added several times.
func (m *metricSet) stand(s inventory.SourceStatus, price float64) {
	c := s.Counts
	for state, n := range map[compute.State]int{compute.Creating: c.Creating, compute.SettingUp: c.SettingUp,
		compute.Ready: c.Ready, compute.Leased: c.Leased,
		compute.Cleaning: c.Cleaning, compute.Failed: c.Failed, compute.Discarding: c.Discarding, compute.Held: c.Held} {
		m.sources.instances.Add(float64(n), s.Name, string(state))
	}
	m.sources.leases.Add(float64(c.InUse()), s.Name)
	if price > 0 {
		m.sources.cost.Add(price*float64(c.Present()+c.Held), s.Name)
	}
	if s.Orphaned {
		return
	}
	// a missing series would make a ratio empty instead of 0
	for _, result := range []string{"hit", "miss"} {
		m.engine.acquires.Add(0, s.Name, result)
	}
	m.engine.creations.Add(0, s.Name, "ok")
	m.sources.wanted.Set(float64(s.Wanted), s.Name)
	if s.Maximum > 0 {
		m.sources.most.Set(float64(s.Maximum), s.Name)
	}
	m.sources.waiting.Set(float64(s.Waiting), s.Name)
	m.sources.broken.Set(boolGauge(s.Broken != nil), s.Name)
	m.sources.paused.Set(boolGauge(s.Paused.After(time.Now())), s.Name)
	m.sources.failures.Set(float64(s.Failures), s.Name)
}

func boolGauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Sight returns the function that counts what the engine did; nil: nothing is measured.
func (m *metricSet) Sight() func(pool.Sample) {
	if m == nil {
		return nil
	}
	return func(s pool.Sample) {
		switch s.What {
		case "acquire":
			result := s.Class
			if result == "" {
				if result = "miss"; s.Hit {
					result = "hit"
				}
				m.engine.acquire.Observe(s.Took.Seconds(), s.Source, result)
			}
			m.engine.acquires.Add(1, s.Source, result)
			if s.Waited > 0 {
				m.engine.wait.Observe(s.Waited.Seconds(), s.Source)
			}
		case "make":
			m.engine.creations.Add(1, s.Source, orOK(s.Class))
			for phase, took := range map[string]time.Duration{
				"create": s.Phases.Create, "connect": s.Phases.Connect, "set_up": s.Phases.SetUp,
			} {
				if took > 0 {
					m.engine.phase.Observe(took.Seconds(), s.Source, phase)
				}
			}
		}
	}
}

func orOK(class string) string {
	if class == "" {
		return "ok"
	}
	return class
}

// resultOf returns how something ended, in a word: "ok", or the kind of the error.
func resultOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return term.KindName(err)
}

// Provider returns the function that counts calls to a source's provider. A discard that finds
// nothing has ended well.
func (m *metricSet) Provider(source string) func(op string, took time.Duration, err error) {
	if m == nil {
		return nil
	}
	return func(op string, took time.Duration, err error) {
		result := resultOf(err)
		switch {
		case op == "destroy" && errors.Is(err, compute.ErrNotFound):
			result = "gone"
		case errors.Is(err, compute.ErrNotReady):
			result = "not-ready"
		}
		m.engine.calls.Add(1, source, op, result)
		m.engine.call.Observe(took.Seconds(), source, op)
	}
}

// countRequest counts a request to the API.
func (m *metricSet) countRequest(method, route string, status int, took time.Duration) {
	m.server.requests.Add(1, method, route, strconv.Itoa(status))
	m.server.request.Observe(took.Seconds(), method, route)
}

// countDelivery counts an attempt to deliver to a webhook.
func (m *metricSet) countDelivery(hook, result string, took time.Duration) {
	if m != nil {
		m.server.deliveries.Add(1, hook, result)
		m.server.delivery.Observe(took.Seconds(), hook)
	}
}

// measuredStore is a store whose transactions are measured.
type measuredStore struct {
	pool.Store
	m *metricSet
}

// Store returns a store that measures the transactions of another one.
func (m *metricSet) Store(s pool.Store) pool.Store {
	if m == nil {
		return s
	}
	return &measuredStore{s, m}
}

func (s *measuredStore) Update(ctx context.Context, fn func(store.Tx) error) error {
	begin := time.Now()
	err := s.Store.Update(ctx, fn)
	s.m.countTransaction("update", begin, err)
	return err
}

func (s *measuredStore) View(ctx context.Context, fn func(store.Tx) error) error {
	begin := time.Now()
	err := s.Store.View(ctx, fn)
	s.m.countTransaction("view", begin, err)
	return err
}

// countTransaction counts a transaction. A refusal, such as a lease that does not exist, is not
// a failure of the store.
func (m *metricSet) countTransaction(op string, begin time.Time, err error) {
	result := resultOf(err)
	for _, kind := range []error{compute.ErrNotFound, compute.ErrConflict, compute.ErrNoCapacity, compute.ErrInvalid, compute.ErrDenied} {
		if errors.Is(err, kind) {
			result = "refused"
		}
	}
	m.server.transactions.Add(1, op, result)
	m.server.transaction.Observe(time.Since(begin).Seconds(), op)
}

// measuredPool is a pool whose use by a director is measured.
type measuredPool struct {
	director.Pool
	m *metricSet
}

// measurePool returns a pool that measures what a director does with it.
func (m *metricSet) measurePool(p director.Pool) director.Pool {
	if m == nil {
		return p
	}
	return &measuredPool{p, m}
}

func (p *measuredPool) Snapshot(ctx context.Context, idlers func(plan.SourceState) bool) (plan.Snapshot, error) {
	begin := time.Now()
	snap, err := p.Pool.Snapshot(ctx, idlers)
	p.m.director.rounds.Add(1, resultOf(err))
	p.m.director.look.Observe(time.Since(begin).Seconds())
	return snap, err
}

func (p *measuredPool) Do(ctx context.Context, d plan.Directive) (func(context.Context) error, error) {
	finish, err := p.Pool.Do(ctx, d)
	p.m.director.directives.Add(1, d.Source, string(d.Verb), resultOf(err))
	return finish, err
}

// sourceStatus returns what the metrics of sources are read from.
func (k *controller) sourceStatus() (inventory.Book, *config.Config) {
	now := k.now.Load()
	return now.engine, now.cfg
}
