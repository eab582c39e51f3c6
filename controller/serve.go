package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	certs "github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/controller/front"
	"github.com/hostler-project/hostler/controller/metal"
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
	m, bell, refused := NewMeters(), newBell(), NewRefusals(log)
	h.Log, h.Role, h.Meters, h.Left, h.Refused = log, host.Controller, m, bell.ring, refused.Add
	if o.Drain < 0 {
		return fault.Invalid("", "--drain: less than nothing")
	}
	apart, strict, err := o.Network.apart(log)
	if err != nil {
		return err
	}
	end := newEnding(ctx, log, o.Drain)
	defer end.close()
	ctx = end.ctx
	engine, err := h.Engine(ctx)
	if err != nil {
		return err
	}
	k := &controller{
		Log: log, Host: h, meters: m, leaving: end.begun.Load, bell: bell, soon: newBell(), wanted: newBell(), others: newBell(),
		answers: NewAnswers(h.Store(), log),
	}
	first, err := newServed(ctx, engine, h.Config(), false, h.Guard())
	if err != nil {
		return err
	}
	first.mark = h.Mark()
	k.now.Store(first)
	k.book = k.appliedBook()
	k.openAuth()
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
	scraped, err := o.Telemetry.Scraped()
	if err != nil {
		listeners.close()
		return err
	}
	if err := aloneOnState(h); err != nil {
		listeners.close()
		return err
	}
	m.Watch(k.standing)
	near, far := front.Apart(listeners.all, version.Read().Version, apart)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opt := serverOptions(ctx, k, listeners.token, far.ReadyAnd(k.ready), traces.Of())
	opt.Identity = func() api.Identity { out := k.identity(); out.APIProcess = far.Standing(); return out }
	handler := web.Handler(server.New(opt))
	defer SpareCollections()() // before the SlapOS master reads all of its records
	if handler, k.slap, err = slapos.Serve(ctx, k.slaposOptions(listeners.token), handler); err != nil {
		listeners.close()
		return err
	}
	var all sync.WaitGroup
	defer all.Wait()
	answering, quiet := context.WithCancel(context.WithoutCancel(ctx))
	defer quiet() // when nothing is answered any more
	all.Go(func() { k.answers.run(answering) })
	all.Go(func() { traces.Run(answering) })
	all.Go(func() { k.deliver(ctx) })
	if scraped != nil {
		all.Go(func() { k.serveMetrics(ctx, scraped) })
		log.Info("metrics", "listen", scraped.Addr().String())
	}
	all.Go(func() { k.followCertificates(ctx) })
	all.Go(func() { k.tokens.Run(answering) })
	all.Go(func() { k.audit.Run(answering) })
	all.Go(func() { k.look(ctx) })
	all.Go(func() { k.planner.follow(ctx) })
	if !o.NoFill {
		images := &metal.Loop{Log: log, Host: h, Registry: m.Reg, Leads: k.leads, Now: func() (*config.Config, <-chan struct{}) {
			now := k.now.Load()
			return now.cfg, now.over
		}}
		all.Go(func() { k.direct(ctx) })
		all.Go(func() { k.keepAhead(ctx) })
		all.Go(func() { images.Run(ctx) })
	}
	resources := make(chan struct{})
	go func() { defer close(resources); k.keepResources(ctx, handler) }()
	defer func() { <-resources }() // its last requests are still answered and stored
	all.Go(func() { k.hear(ctx) })
	all.Go(func() { k.followApplied(ctx) })
	all.Go(func() { k.share(ctx, !o.NoFill) })
	errs := make(chan error, len(near))
	for _, l := range near {
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
	far.Handler, far.Hosts, far.Files, far.Slapos, far.Log = handler, k.hosts(), k.files, k.slap != nil, log
	far.Strict = strict
	strangers := make(chan error, 1)
	serves := far.Begin(ctx, &all, func(err error) {
		strangers <- err
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
	failed := <-strangers
	for range near {
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
	Log    *slog.Logger
	Host   *host.Host
	meters *meters
	now    atomic.Pointer[served] // the current configuration and its engine
	bell   bell                   // there is something to do
	soon   bell                   // there may be something to do in a moment
	wanted bell                   // there may be something to make
	mu     sync.Mutex             // one reload at a time

	others bell          // others may have applied something
	book   *applied.Book // applies things

	answers *answers // to requests with a key
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
	hosts, err := readHosts(cfg, settings.Address)
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
		out: guard.Transport(nil), hosts: hosts, auth: settings, resources: objects, slapos: master,
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
			Private:  func(source, image string) bool { return ownOnly(k.now.Load().cfg, source, image) },
		},
		Life: server.Life{
			Ready: ready, Reload: k.reload, Ring: k.ring, Ending: ctx.Done(),
			Work: func(ctx context.Context) error { _, err := k.now.Load().engine.Work(ctx); return err },
		},
		Replies:   k.answers.memory(),
		Telemetry: server.Telemetry{Metrics: k.meters.handler(), Observe: k.meters.asked, Tracer: tracer, Log: k.Log},
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

// look does what is due when the bell rings, when the next work is due, and from time to time. Work
// runs in a goroutine per source and rings the bell when it ends.
func (k *controller) look(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	timer := time.NewTimer(lookAround)
	defer timer.Stop()
	for {
		at := time.Now().Add(lookAround)
		if next := k.round(ctx, pool.Tending{Go: all.Go, Done: k.did}); !next.IsZero() && next.Before(at) {
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
func (k *controller) round(ctx context.Context, with pool.Tending) time.Time {
	next, err := k.now.Load().engine.Tend(ctx, with)
	k.wanted.ring() // ended leases may change what is wanted
	if err == nil && !k.options.NoFill {
		err = k.now.Load().engine.Rolling(ctx, with)
	}
	if err != nil && ctx.Err() == nil {
		k.Log.Warn("what is due", "err", err) // it is recorded and will be tried again
	}
	return next
}

// listeners are the listeners of a controller.
type listeners struct {
	all   []net.Listener
	token string // the administrator's token; "": none
}

func (l *listeners) close() {
	for _, one := range l.all {
		if one != nil {
			_ = one.Close()
		}
	}
}

func (l *listeners) names() (out []string) {
	for _, one := range l.all {
		out = append(out, one.Addr().Network()+":"+one.Addr().String())
	}
	return out
}

// listen opens the sockets of systemd, or else the controller's own; and the address of --listen.
func listen(h *host.Host, o Options, files *certs.Files) (_ *listeners, err error) {
	out := &listeners{}
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	if out.all, err = activation.Listeners(); err != nil {
		return nil, fmt.Errorf("the sockets that systemd has opened: %w", err)
	}
	for _, l := range out.all {
		switch {
		case l == nil:
			return nil, fault.Invalid(
				"ListenStream= is for sockets that a controller serves", "a socket that systemd has opened is no stream",
			)
		case l.Addr().Network() == "unix", files != nil:
		case !isLoopback(l.Addr()):
			return nil, fault.Invalid(
				"give --tls-cert and --tls-key, or have it listen on 127.0.0.1",
				"%s, which systemd has opened: without TLS whoever is on the way could read and use tokens", l.Addr(),
			)
		}
	}
	if len(out.all) == 0 {
		l, err := ownSocket(h, o)
		if err != nil {
			return nil, err
		}
		out.all = append(out.all, l)
	}
	if o.Network.Address == "" {
		return out, nil
	}
	host, _, err := net.SplitHostPort(o.Network.Address)
	if err != nil {
		return nil, fault.Invalid("127.0.0.1:7070, say", "--listen %s: %w", o.Network.Address, err)
	}
	if ip := net.ParseIP(host); o.Network.Cert == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fault.Invalid(
			"give --tls-cert and --tls-key, or listen on 127.0.0.1",
			"--listen %s: without TLS whoever is on the way could read and use tokens", o.Network.Address,
		)
	}
	if out.token, err = callers.AdministratorToken(o.TokenFile); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", o.Network.Address)
	if err != nil {
		return nil, CannotListen("--listen", o.Network.Address, err)
	}
	out.all = append(out.all, l)
	return out, nil
}

func isLoopback(at net.Addr) bool {
	host, _, err := net.SplitHostPort(at.String())
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// ownSocket listens on the controller's socket, and replaces one that a killed controller left.
func ownSocket(h *host.Host, o Options) (net.Listener, error) {
	path := o.Socket.Path
	if path == "" {
		dir, err := host.RuntimeDir()
		if err != nil {
			return nil, err
		}
		path = filepath.Join(dir, socket.SocketName)
	}
	switch ok, err := h.OnlyOne(path + ".lock"); {
	case err != nil:
		return nil, fault.Invalid("", "--socket %s: %w", path, err)
	case !ok:
		return nil, fault.Conflict("stop it first, or give another --socket", "a controller listens on %s already", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fault.Conflict("give another --socket", "%s exists and is no socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fault.Invalid("", "--socket %s: %w", path, err)
	}
	old := syscall.Umask(0o177) // from the start only this user may connect
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fault.Invalid("", "--socket %s: %w", path, err)
	}
	if o.Socket.Everyone {
		if err := os.Chmod(path, 0o666); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	return l, nil
}
