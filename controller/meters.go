package controller

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/engine"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/observe/metric"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// meters are a controller's metrics: what it counts, and what it looks up at each scrape. A nil one
// measures nothing.
type meters struct {
	Reg     *metric.Registry
	engine  engineMeters
	directs directorMeters
	served  servedMeters
	stands  sourceMeters
}

// engineMeters are what the engine and the providers did.
type engineMeters struct {
	acquires, creations, calls metric.Counter
	acquire, wait, phase, call metric.Histogram
}

// directorMeters are what the director did.
type directorMeters struct {
	rounds, directives metric.Counter
	look               metric.Histogram
}

// servedMeters are requests to the API, transactions and deliveries to webhooks.
type servedMeters struct {
	requests, transactions, deliveries metric.Counter
	request, transaction, delivery     metric.Histogram
}

// sourceMeters are the state of the sources.
type sourceMeters struct {
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

// NewMeters returns the metrics of a controller, with those of the process and the build.
func NewMeters() *meters {
	r := metric.New()
	r.Process()
	v := version.Read()
	r.Gauge(
		"hostler_build_info", "The program: always 1.", "version", "goversion", "os", "arch",
	).Set(1, v.Version, runtime.Version(), v.OS, v.Arch)
	return &meters{
		Reg: r,
		engine: engineMeters{
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
		directs: directorMeters{
			rounds: r.Counter("hostler_director_rounds_total", "Looks of the director at the sources.", "result"),
			look:   r.Histogram("hostler_director_look_seconds", "How long the director took to look at the sources.", quick),
			directives: r.Counter(
				"hostler_directives_total", "Directives of the director that were begun, or could not be.", "source", "verb",
				"result",
			),
		},
		served: servedMeters{
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
		stands: sourceMeters{
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
func (m *meters) handler() http.Handler {
	if m == nil {
		return nil
	}
	return m.Reg
}

// Watch reads the state of the sources from the current engine at each scrape. It uses the counts
// in their records and does not look at each instance.
func (m *meters) Watch(now func() (engine.Book, *config.Config)) {
	m.Reg.Before(func() {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
		defer cancel()
		book, cfg := now()
		all, err := book.Status(ctx)
		at := m.stands
		for _, g := range []metric.Gauge{
			at.instances, at.leases, at.wanted, at.most, at.waiting, at.broken, at.paused, at.failures, at.cost,
		} {
			g.Reset()
		}
		if err != nil {
			m.stands.ok.Set(0)
			return
		}
		m.stands.ok.Set(1)
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
func (m *meters) stand(s compute.SourceStatus, price float64) {
	c := s.Counts
	for state, n := range map[compute.State]int{compute.Creating: c.Creating, compute.SettingUp: c.SettingUp,
		compute.Ready: c.Ready, compute.Leased: c.Leased,
		compute.Cleaning: c.Cleaning, compute.Failed: c.Failed, compute.Discarding: c.Discarding, compute.Held: c.Held} {
		m.stands.instances.Add(float64(n), s.Name, string(state))
	}
	m.stands.leases.Add(float64(c.InUse()), s.Name)
	if price > 0 {
		m.stands.cost.Add(price*float64(c.Present()+c.Held), s.Name)
	}
	if s.Orphaned {
		return
	}
	// a missing series would make a ratio empty instead of 0
	for _, result := range []string{"hit", "miss"} {
		m.engine.acquires.Add(0, s.Name, result)
	}
	m.engine.creations.Add(0, s.Name, "ok")
	m.stands.wanted.Set(float64(s.Wanted), s.Name)
	if s.Maximum > 0 {
		m.stands.most.Set(float64(s.Maximum), s.Name)
	}
	m.stands.waiting.Set(float64(s.Waiting), s.Name)
	m.stands.broken.Set(truth(s.Broken != nil), s.Name)
	m.stands.paused.Set(truth(s.Paused.After(time.Now())), s.Name)
	m.stands.failures.Set(float64(s.Failures), s.Name)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Sight returns the function that counts what the engine did; nil: nothing is measured.
func (m *meters) Sight() func(pool.Sight) {
	if m == nil {
		return nil
	}
	return func(s pool.Sight) {
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
func (m *meters) Provider(source string) func(op string, took time.Duration, err error) {
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

// asked counts a request to the API.
func (m *meters) asked(method, route string, status int, took time.Duration) {
	m.served.requests.Add(1, method, route, strconv.Itoa(status))
	m.served.request.Observe(took.Seconds(), method, route)
}

// told counts an attempt to deliver to a webhook.
func (m *meters) told(hook, result string, took time.Duration) {
	if m != nil {
		m.served.deliveries.Add(1, hook, result)
		m.served.delivery.Observe(took.Seconds(), hook)
	}
}

// measuredStore is a store whose transactions are measured.
type measuredStore struct {
	pool.Store
	m *meters
}

// Store returns a store that measures the transactions of another one.
func (m *meters) Store(s pool.Store) pool.Store {
	if m == nil {
		return s
	}
	return &measuredStore{s, m}
}

func (s *measuredStore) Update(ctx context.Context, fn func(store.Tx) error) error {
	begin := time.Now()
	err := s.Store.Update(ctx, fn)
	s.m.moved("update", begin, err)
	return err
}

func (s *measuredStore) View(ctx context.Context, fn func(store.Tx) error) error {
	begin := time.Now()
	err := s.Store.View(ctx, fn)
	s.m.moved("view", begin, err)
	return err
}

// moved counts a transaction. A refusal, such as a lease that does not exist, is not a failure of
// the store.
func (m *meters) moved(op string, begin time.Time, err error) {
	result := resultOf(err)
	for _, kind := range []error{compute.ErrNotFound, compute.ErrConflict, compute.ErrNoCapacity, compute.ErrInvalid, compute.ErrDenied} {
		if errors.Is(err, kind) {
			result = "refused"
		}
	}
	m.served.transactions.Add(1, op, result)
	m.served.transaction.Observe(time.Since(begin).Seconds(), op)
}

// measuredPool is a pool whose use by a director is measured.
type measuredPool struct {
	director.Pool
	m *meters
}

// directed returns a pool that measures what a director does with it.
func (m *meters) directed(p director.Pool) director.Pool {
	if m == nil {
		return p
	}
	return &measuredPool{p, m}
}

func (p *measuredPool) Snapshot(ctx context.Context, idlers func(compute.SourceState) bool) (compute.Snapshot, error) {
	begin := time.Now()
	snap, err := p.Pool.Snapshot(ctx, idlers)
	p.m.directs.rounds.Add(1, resultOf(err))
	p.m.directs.look.Observe(time.Since(begin).Seconds())
	return snap, err
}

func (p *measuredPool) Do(ctx context.Context, d compute.Directive) (func(context.Context) error, error) {
	finish, err := p.Pool.Do(ctx, d)
	p.m.directs.directives.Add(1, d.Source, string(d.Verb), resultOf(err))
	return finish, err
}

// MetricsListener listens for scrapes without authentication. Only loopback addresses are allowed.
func MetricsListener(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fault.Invalid("127.0.0.1:9465, say", "--metrics %s: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fault.Invalid(
			"listen on 127.0.0.1; from elsewhere GET /metrics of --listen, with a token",
			"--metrics %s: whoever reaches it needs no token", addr,
		)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, CannotListen("--metrics", addr, err)
	}
	return l, nil
}

// metricsServer answers /metrics only. It refuses names other than localhost, so that a page of
// another site cannot read it through a browser by DNS rebinding.
func metricsServer(m *meters) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		switch {
		case host != "localhost" && (ip == nil || !ip.IsLoopback()):
			http.Error(w, "ask for 127.0.0.1 or localhost", http.StatusForbidden)
		case r.URL.Path != "/metrics":
			http.Error(w, "GET /metrics", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "GET /metrics", http.StatusMethodNotAllowed)
		default:
			m.Reg.ServeHTTP(w, r)
		}
	})
}
