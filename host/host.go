package host

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// Host is one user's hostler on this machine: its configuration, its store and the lease engine
// that both make. Nothing is opened before it is needed. Options may change until then. A Host is
// for one goroutine; its engine is for any number.
type Host struct {
	Options

	cfg  *config.Config
	mark string // of what was applied when the configuration was read

	store   pool.Store
	storeAt string
	pool    *pool.Pool
	open    opening
	desk    *pool.Desk
	left    *atomic.Bool // something was left to the keeper
	bundles *bundleCache
	guard   *fetch.Guard
	closers []func()
}

// Role is what a process does with its engine.
type Role int

const (
	// Command leaves what takes long to a keeper, unless Options say Now.
	Command Role = iota
	// Keeper does what commands left, in the background.
	Keeper
	// Controller does all of it, for many.
	Controller
)

// Options say what a host is composed of. The zero value is that of a command in the current
// directory.
type Options struct {
	// Tree is the directory that the configuration is read for; "": the current one.
	Tree string
	// ConfigDir is read before the other roots of configuration; "": none.
	ConfigDir string
	// Dirs are further directories of configuration, the one that counts most at the end.
	Dirs []string
	// Former is the former program whose rules the configuration follows: "crcache"; "": none.
	Former string
	// Compat overlooks unknown keys, and ends no lease for being unused, as former programs did.
	Compat bool
	// Overlay changes the configuration after it was read; may be nil.
	Overlay func(*config.Config)
	// Applied is a directory in place of what was applied to the store, to try it; "": none.
	Applied string
	// Loaded is the configuration, where the caller has read it; nil: it is read.
	Loaded *config.Config
	// OpenedStore is the store, where the caller has opened it; nil: it is opened.
	OpenedStore pool.Store

	// Kinds are the kinds of sources that there are; nil: those that link little, Kinds.
	Kinds provider.Table

	Role Role
	// Now does what a release leaves at once.
	Now bool
	// LeaseIdle ends leases unused for so long, where neither the request nor the source says it;
	// 0: never.
	LeaseIdle time.Duration
	// Left is called when a controller has something to do in its background; may be nil.
	Left func()
	// Refused hears what a controller did not fetch for others; may be nil.
	Refused func(context.Context, *fetch.Refused)
	// Meters measure the engine; may be nil.
	Meters Meters
	// Log is where the engine tells what it does; nil: nowhere.
	Log *slog.Logger
}

// Meters measure an engine.
type Meters interface {
	// Store wraps a store.
	Store(pool.Store) pool.Store
	// Sight hears of each act of the engine; it may be nil.
	Sight() func(pool.Sight)
	// Provider hears of each call of a source's provider; it may be nil.
	Provider(source string) func(op string, took time.Duration, err error)
}

// New returns a host that has opened nothing yet.
func New(o Options) *Host {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Kinds == nil {
		o.Kinds = Kinds()
	}
	return &Host{Options: o, desk: &pool.Desk{}, left: new(atomic.Bool), bundles: &bundleCache{}, cfg: o.Loaded, store: o.OpenedStore}
}

// Open returns a host with its engine. Close ends both.
func Open(ctx context.Context, o Options) (*Host, error) {
	h := New(o)
	if _, err := h.Engine(ctx); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close ends what was opened, the last first.
func (h *Host) Close() {
	for i := len(h.closers) - 1; i >= 0; i-- {
		h.closers[i]()
	}
	h.closers = nil
	h.bundles.close()
}

// OnClose has end called by Close.
func (h *Host) OnClose(end func()) { h.closers = append(h.closers, end) }

// Afresh returns a host that reads the configuration anew, on the same store. Close ends what that
// one opens, and nothing of this one.
func (h *Host) Afresh() *Host {
	b := *h
	b.cfg, b.pool, b.closers, b.bundles = nil, nil, nil, &bundleCache{}
	return &b
}

// Share returns a host that has open what this one has. Its Close ends only what it opens itself.
func (h *Host) Share() *Host {
	b := *h
	b.closers, b.bundles = nil, &bundleCache{}
	return &b
}

// Opened returns the engine, if it was made; else nil.
func (h *Host) Opened() *pool.Pool { return h.pool }

// Config returns the configuration, if it was read; else nil.
func (h *Host) Config() *config.Config { return h.cfg }

// Store returns the store; nil before it was opened.
func (h *Host) Store() pool.Store { return h.store }

// StoreAt says where the store is.
func (h *Host) StoreAt() string { return h.storeAt }

// Mark tells what was applied to the store when the configuration was read from another state.
func (h *Host) Mark() string { return h.mark }

// Guard judges where a controller goes for others; nil: nothing is done for others here.
func (h *Host) Guard() *fetch.Guard { return h.guard }

// LeaveWork notes that there is work for the keeper.
func (h *Host) LeaveWork() { h.left.Store(true) }

// TakeLeft reports whether there is work for the keeper, and forgets it.
func (h *Host) TakeLeft() bool { return h.left.Swap(false) }

// NewID makes the id of a lease. Those that are made one after another stand beside each other in
// an index.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Configuration reads the files, once.
func (h *Host) Configuration() (*config.Config, error) {
	if h.cfg != nil {
		return h.cfg, nil
	}
	opt := config.LoadOptions{
		Dir: h.Tree, ConfigDir: h.ConfigDir, Compat: h.Former == "crcache", Lenient: h.Compat, Dirs: h.Dirs,
		Kinds: h.Kinds, CheckWindow: checkWindow, Applied: h.appliedRoot,
	}
	if info, err := os.Stat(h.Tree); h.Tree != "" && (err != nil || !info.IsDir()) {
		opt.Dir = "/" // the keeper outlives the directory that it was started in
	}
	if _, err := os.Stat(opt.ConfigDir); h.Role == Keeper && errors.Is(err, fs.ErrNotExist) {
		opt.ConfigDir = "" // and that of --config
	}
	if dir, err := StateDir(); err == nil {
		opt.Trust.Dir = dir + "/trust"
	}
	cfg, err := config.Load(opt)
	if err != nil {
		return nil, ConfigError(err)
	}
	for _, w := range cfg.Warnings {
		h.Log.Warn("configuration", "err", w)
	}
	if h.Overlay != nil {
		h.Overlay(cfg)
	}
	h.cfg = cfg
	return cfg, nil
}

// ConfigError gives an error of config's its kind, and each of several.
func ConfigError(err error) error {
	if err == nil {
		return nil
	}
	if all := api.Apart(err); len(all) > 1 {
		for n, e := range all {
			all[n] = ConfigError(e)
		}
		return errors.Join(all...)
	}
	var e *compute.Error
	if errors.As(err, &e) {
		return err
	}
	if errors.Is(err, config.ErrUntrusted) {
		return &compute.Error{
			Kind: compute.ErrDenied, Err: err,
			Hint: "hostler trust shows what it would do; if you agree: hostler trust approve",
		}
	}
	return &compute.Error{Kind: compute.ErrInvalid, Err: err}
}

func DecodeSection(section map[string]config.Value, to any) error {
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	return ConfigError(config.Decode(settings, func(key string) (string, int) { v := section[key]; return v.File, v.Line }, to))
}

func (h *Host) measured() pool.Store {
	if h.Meters == nil {
		return h.store
	}
	return h.Meters.Store(h.store)
}

func (h *Host) observe() func(pool.Sight) {
	if h.Meters == nil {
		return nil
	}
	return h.Meters.Sight()
}

func (h *Host) observeCalls(source string) func(op string, took time.Duration, err error) {
	if h.Meters == nil {
		return nil
	}
	return h.Meters.Provider(source)
}

// LocalUser is the name of the user whose id this process has. The environment is not asked, since
// it may be another's, or change from one command to the next.
func LocalUser() string {
	// A build without C takes $USER for the name of an id that is in no list, by whatever function
	// of os/user it is asked. Not so without $USER.
	if name, set := os.LookupEnv("USER"); set {
		_ = os.Unsetenv("USER")
		defer func() { _ = os.Setenv("USER", name) }()
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid-" + strconv.Itoa(os.Getuid())
}
