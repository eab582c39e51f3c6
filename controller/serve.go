package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	certs "github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/login"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/controller/web"
	"github.com/hostler-project/hostler/controller/webhook"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/socket"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/observe/tracing"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

const (
	// how often to look for work that nobody has announced
	lookAround = 10 * time.Second
	Grace      = 30 * time.Second // for requests in progress at the end
	lookSoon   = time.Second      // after a request, as leases may be short
	// pause between two rounds, so that a bell that rings all the time leaves some CPU
	lookRest = 5 * time.Millisecond
)

// Serve runs the controller until ctx ends or a signal stops it.
func Serve(ctx context.Context, h *host.Host, log *slog.Logger, traces *tracing.Tracing, o Options) error {
	m, bell, refused := NewMetrics(), newBell(), NewRefusals(log)
	h.Log, h.Role, h.Meters, h.Left, h.Refused = log, host.Controller, m, bell.ring, refused.Add
	if o.Drain < 0 {
		return fault.Invalid("", "--drain: less than nothing")
	}
	if err := o.Network.check(); err != nil {
		return err
	}
	end := newShutdown(ctx, log, o.Drain)
	defer end.close()
	ctx = end.ctx
	engine, err := h.Engine(ctx)
	if err != nil {
		return err
	}
	k := &controller{
		Log: log, Host: h, metrics: m, leaving: end.begun.Load, bell: bell, soon: newBell(), wanted: newBell(), others: newBell(),
		replies: NewReplyStore(h.Store(), log),
	}
	first, err := newServed(ctx, engine, h.Config(), false, h.Guard())
	if err != nil {
		return err
	}
	first.mark = h.Mark()
	k.now.Store(first)
	k.book = k.appliedBook()
	if err := k.openAuth(); err != nil {
		return err
	}
	refused.audit.Store(k.audit)
	k.tellFaults(faultsOf(h.Config()))
	k.planner = &planner{k: k}
	if err := k.openCertificates(o); err != nil {
		return err
	}
	listeners, err := listen(h, o, k.files)
	if err != nil {
		return err
	}
	scraped, err := o.Telemetry.Listen()
	if err != nil {
		listeners.close()
		return err
	}
	if err := onlyController(h); err != nil {
		listeners.close()
		return err
	}
	m.WatchSources(k.sourceStatus)
	local, remote := o.Network.apiProcess(listeners.all, version.Read().Version, log)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opt := serverOptions(ctx, k, listeners.token, remote.ReadyAnd(k.ready), traces.Of())
	opt.Identity = func() api.Identity { out := k.identity(); out.APIProcess = remote.State(); return out }
	handler := web.Handler(server.New(opt))
	defer TuneGC()() // before the SlapOS master reads all of its records
	if handler, k.slap, err = slapos.Serve(ctx, k.slaposOptions(listeners.token), handler); err != nil {
		listeners.close()
		return err
	}
	handler = auth.Forwarded(func() []netip.Prefix { return k.now.Load().proxies }, handler)
	var all sync.WaitGroup
	defer all.Wait()
	answering, quiet := context.WithCancel(context.WithoutCancel(ctx))
	defer quiet() // when nothing is answered any more
	all.Go(func() { k.replies.run(answering) })
	all.Go(func() { traces.Run(answering) })
	all.Go(func() { k.deliverWebhooks(ctx) })
	if scraped != nil {
		all.Go(func() { k.serveMetrics(ctx, scraped) })
		log.Info("metrics", "listen", scraped.Addr().String())
	}
	all.Go(func() { k.followCertificates(ctx) })
	all.Go(func() { k.tokens.Run(answering) })
	all.Go(func() { k.audit.Run(answering) })
	all.Go(func() { k.doDue(ctx) })
	all.Go(func() { k.planner.follow(ctx) })
	if !o.NoFill {
		images := &imagecache.Loop{Log: log, Host: h, Registry: m.Reg, Leads: k.leads, Now: func() (*config.Config, <-chan struct{}) {
			now := k.now.Load()
			return now.cfg, now.over
		}}
		all.Go(func() { k.runDirector(ctx) })
		all.Go(func() { k.keepPrewarmed(ctx) })
		all.Go(func() { images.Run(ctx) })
	}
	resources := make(chan struct{})
	go func() { defer close(resources); k.keepResources(ctx, handler) }()
	defer func() { <-resources }() // its last requests are still answered and stored
	all.Go(func() { k.reloadOnHangup(ctx) })
	all.Go(func() { k.followApplied(ctx) })
	all.Go(func() { k.followStore(ctx, !o.NoFill) })
	errs := make(chan error, len(local))
	for _, l := range local {
		if l.Addr().Network() != "unix" && k.files != nil {
			l = tls.NewListener(l, k.files.TLS())
		}
		srv := &http.Server{
			Handler: k.hosts().Only(handler), ConnContext: callers.ConnContext,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
		all.Go(func() {
			errs <- server.Serve(ctx, srv, l, Grace)
			cancel() // if one listener fails, all stop
		})
	}
	remote.Handler, remote.Hosts, remote.Files, remote.Slapos, remote.Log = handler, k.hosts(), k.files, k.slap != nil, log
	remoteErr := make(chan error, 1)
	serves := remote.Start(ctx, &all, func(err error) {
		remoteErr <- err
		if err != nil {
			cancel()
		}
	})
	if serves {
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		log.Info("serving", "listen", listeners.names(), "pid", os.Getpid())
	}
	<-ctx.Done()
	log.Info("ending: what is being answered still has its time", "grace", Grace)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	failed := <-remoteErr
	for range local {
		err := <-errs
		if errors.Is(err, server.ErrCutOff) { // as was said; so nothing failed
			log.Warn("ended", "err", err)
			err = nil
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// controller is a running controller.
type controller struct {
	Log     *slog.Logger
	Host    *host.Host
	metrics *metricSet
	now     atomic.Pointer[served] // the current configuration and its engine
	bell    bell                   // there is something to do
	soon    bell                   // there may be something to do in a moment
	wanted  bell                   // there may be something to make
	mu      sync.Mutex             // one reload at a time

	others bell           // others may have applied something
	book   *applied.Store // applies things

	replies *replyStore // to requests with a key
	tokens  *auth.TokenRegistry
	audit   *auth.Log
	limits  *auth.Limits
	planner *planner
	options Options
	leaving func() bool  // whether it was told to end
	files   *certs.Files // nil: it does not listen with TLS
	slap    server.Slap  // nil: it is no SlapOS master
}

// served is a configuration and its engine.
type served struct {
	engine *pool.Pool
	cfg    *config.Config
	direct director.Options // the director's options
	over   chan struct{}    // closed when another configuration replaces it
	hooks  []webhook.Hook   // the webhooks
	signIn login.SignIn
	mark   string // identifies what was applied then
	guard  *fetch.Guard
	out    http.RoundTripper // limited by the guard
	hosts  []string          // names of the controller, besides its own

	proxies []netip.Prefix // networks whose word for the address of a request counts

	auth      *callers.Settings   // [auth]
	resources resourcing          // [resources]
	slapos    *slapos.Settings    // [slap]
	roles     *callers.Roles      // of users
	limited   map[string][]string // the projects that a source is limited to, by source
}

// newServed reads the parts of a configuration besides the engine. guard limits outgoing requests.
// strict: an unreadable project is an error too.
func newServed(ctx context.Context, engine *pool.Pool, cfg *config.Config, strict bool, guard *fetch.Guard) (*served, error) {
	opt, err := directorOptions(cfg)
	if err != nil {
		return nil, err
	}
	hooks, err := readHooks(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	settings, err := callers.ReadSettings(cfg)
	if err != nil {
		return nil, err
	}
	if strict {
		if err := checkProjects(cfg); err != nil {
			return nil, err
		}
	}
	objects, err := readResources(cfg)
	if err != nil {
		return nil, err
	}
	hosts, proxies, err := readHosts(cfg, settings.Address)
	if err != nil {
		return nil, err
	}
	signIn, err := settings.SignIn(ctx, guard)
	if err != nil {
		return nil, err
	}
	master, err := slapos.ReadSettings(cfg)
	return &served{
		engine: engine, cfg: cfg, direct: opt, over: make(chan struct{}), hooks: hooks, signIn: signIn, guard: guard,
		out: guard.Transport(nil), hosts: hosts, proxies: proxies, auth: settings, resources: objects, slapos: master,
		roles: callers.NewRoles(settings.Admins, cfg.Projects), limited: limitedSources(cfg),
	}, err
}

// serverOptions returns the options of the API until ctx ends. file is the administrator's token.
func serverOptions(
	ctx context.Context, k *controller, file string, ready func(context.Context) error, tracer *trace.Tracer,
) server.Options {
	return server.Options{
		Engine: func() server.Engine {
			e := k.now.Load().engine
			return server.Engine{Leaser: e, Book: e, Operator: e, Waiters: e, Slots: e}
		},
		Version: version.Read().Version,
		Callers: server.Callers{
			Authenticate: k.authenticator(file).Caller, Limits: k.limits, Audit: k.audit, Tokens: k.tokens,
			SignIn: func() login.SignIn { return k.now.Load().signIn }, Sessions: k.tokens, Spend: callers.Spend(k.Host.Store()),
		},
		Scope: access.Scope{
			Limited:  func(source string) []string { return k.now.Load().limited[source] },
			Projects: func() []string { return projectNames(k.now.Load().cfg) },
			Sources:  func(name string) bool { _, err := k.now.Load().cfg.Source(name); return err == nil },
			Private:  func(source, image string) bool { return ownerOnly(k.now.Load().cfg, source, image) },
		},
		Lifecycle: server.Lifecycle{
			Ready: ready, Reload: k.reload, Ring: k.ring, Ending: ctx.Done(),
			Work: func(ctx context.Context) error { _, err := k.now.Load().engine.RunDue(ctx); return err },
		},
		Replies:   k.replies.idempotencyStore(),
		Telemetry: server.Telemetry{Metrics: k.metrics.handler(), Observe: k.metrics.countRequest, Tracer: tracer, Log: k.Log},
		Planner:   k.planner, Webhooks: func() server.Webhooks { return k.hooked() }, Applied: appliedFor{k.book},
		Slap: func() server.Slap { return k.slap },
	}
}

// identity returns what tells this controller from others.
func (k *controller) identity() api.Identity {
	return api.Identity{
		Installation: k.Host.Store().Installation(), Configuration: socket.ConfigurationName(k.now.Load().cfg),
		Store: k.Host.StoreAt(),
	}
}

// bell is a channel with one slot, so ringing never blocks.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// ring says that something was asked for or given back. The engine rings for work that is left
// over; the end of a lease is looked for soon.
func (k *controller) ring() {
	k.wanted.ring()
	k.soon.ring()
}

// doDue does what is due when the bell rings, when the next work is due, and from time to time.
// Work runs in a goroutine per source and rings the bell when it ends.
func (k *controller) doDue(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	timer := time.NewTimer(lookAround)
	defer timer.Stop()
	for {
		at := time.Now().Add(lookAround)
		if next := k.round(ctx, pool.ReconcileOptions{Go: all.Go, Done: k.did}); !next.IsZero() && next.Before(at) {
			at = next
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookRest):
		}
		timer.Reset(max(time.Until(at), 2*lookRest))
		soon := k.soon
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return
			case <-k.bell:
				again = true
			case <-soon:
				soon = nil // later ones need no earlier look
				if next := time.Now().Add(lookSoon); next.Before(at) {
					at = next
					timer.Reset(lookSoon)
				}
			case <-timer.C:
				again = true
			}
		}
	}
}

// did says that an instance was cleaned or is gone, so there may be more to do or to make.
func (k *controller) did() {
	k.bell.ring()
	k.wanted.ring()
}

// round does what is due, and returns when more will be; zero: nothing is known.
func (k *controller) round(ctx context.Context, with pool.ReconcileOptions) time.Time {
	next, err := k.now.Load().engine.Reconcile(ctx, with)
	k.wanted.ring() // ended leases may change what is wanted
	if err == nil && !k.options.NoFill {
		err = k.now.Load().engine.Rolling(ctx, with)
	}
	if err != nil && ctx.Err() == nil {
		k.Log.Warn("what is due", "err", err) // it is recorded and will be tried again
	}
	return next
}

// ready returns why requests cannot be served now: the controller is ending, or the state cannot be
// read or written.
func (k *controller) ready(ctx context.Context) error {
	if k.leaving() {
		return errors.New("it was told to end")
	}
	if _, err := k.now.Load().engine.Status(ctx); err != nil {
		return err
	}
	return k.Host.Store().Update(ctx, func(store.Tx) error { return nil })
}
