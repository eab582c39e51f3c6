package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/catalog"
)

// Host is one user's hostler on this machine: configuration, store and lease engine. Each is opened
// when it is first needed, and Options may change until then. A Host is used by one goroutine, its
// engine by any number.
type Host struct {
	Options

	cfg  *config.Config
	mark string // identifies what was applied when the configuration was read

	stays   bool  // the configuration was read once, and Whole was not needed
	missing error // why Whole did not replace this process; nil: it was not needed
	store   pool.Store
	storeAt string
	pool    *pool.Pool
	open    opening
	desk    *pool.Inflight
	left    *atomic.Bool // something was left for the keeper
	bundles *bundleCache
	guard   *fetch.Guard
	closers []func()
}

// Role is what a process does with its engine. The zero Role is Command.
type Role int

const (
	// Command leaves slow work to a keeper, unless Options.Now is set.
	Command Role = iota
	// Keeper does what commands left, in the background.
	Keeper
	// Controller does everything itself, for many users.
	Controller
)

// Options say what a host is composed of. The zero value is for a command in the current directory.
type Options struct {
	// Tree is the directory whose configuration is read; "": the current one.
	Tree string
	// ConfigDir is read before the other roots of configuration; "": none.
	ConfigDir string
	// Dirs are further directories of configuration, in the order of precedence.
	Dirs []string
	// Former is the former program whose rules apply: "crcache"; "": none.
	Former string
	// Compat ignores unknown keys, and ends no lease for being unused, as the former programs did.
	Compat bool
	// Overlay changes the configuration after it was read; may be nil.
	Overlay func(*config.Config)
	// Applied replaces the directory of applied things, to try a change; "": it does not.
	Applied string
	// Loaded is a configuration that the caller has read; nil: it is read.
	Loaded *config.Config
	// OpenedStore is a store that the caller has opened; nil: it is opened.
	OpenedStore pool.Store

	// Kinds are the known kinds of sources; nil: those of the function Kinds.
	Kinds catalog.Table
	// Registry knows the registries of images, as image/registry.Client does; nil: images are
	// fetched from none.
	Registry image.Registry
	// Migrate brings the state file of an older hostler to this format, as sqlite's migration.Up
	// does; nil: such a file is refused.
	Migrate func(ctx context.Context, path string) error
	// GoTemplate expands the templates of bundles that are Go's, as gotemplate.Expand does; nil:
	// they are refused.
	GoTemplate bundle.GoTemplate
	// Database opens the PostgreSQL database that [store] names; nil: this program has no driver
	// for it.
	Database func(ctx context.Context, address string, log *slog.Logger) (Database, error)
	// Whole replaces this process by the program that has all kinds and the database, when the
	// configuration or the state needs them. It returns only an error; then this process does what
	// touches no source of those kinds. nil: this program is all there is.
	Whole func() error
	// Stays is called when the configuration was read, and this process is not replaced; may be
	// nil.
	Stays func()

	// Record writes the engine's decisions down; nil: nothing is recorded.
	Record pool.Record

	Role Role
	// Now does the work of a release at once instead of leaving it.
	Now bool
	// LeaseIdle ends leases that are unused for so long, if neither request nor source says; 0:
	// never.
	LeaseIdle time.Duration
	// Left is called when a controller has background work; may be nil.
	Left func()
	// Refused is called when a controller refuses to fetch something; may be nil.
	Refused func(context.Context, *fetch.Refused)
	// Meters measure the engine; may be nil.
	Meters Meters
	// Log gets the engine's messages; nil: none.
	Log *slog.Logger
}

// Database is a store in a database.
type Database interface {
	pool.Store
	// Name says where it is, without secrets.
	Name() string
	Close() error
}

// Meters measure an engine.
type Meters interface {
	// Store returns a store that measures another.
	Store(pool.Store) pool.Store
	// Sight returns a function that gets each act of the engine; it may be nil.
	Sight() func(pool.Sample)
	// Provider returns a function that gets each call to a source's provider; it may be nil.
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
	return &Host{Options: o, desk: &pool.Inflight{}, left: new(atomic.Bool), bundles: &bundleCache{}, cfg: o.Loaded, store: o.OpenedStore}
}

// Open returns a host with its engine. Close closes both.
func Open(ctx context.Context, o Options) (*Host, error) {
	h := New(o)
	if _, err := h.Engine(ctx); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close closes what was opened, the last first.
func (h *Host) Close() {
	for i := len(h.closers) - 1; i >= 0; i-- {
		h.closers[i]()
	}
	h.closers = nil
	h.bundles.close()
}

// OnClose adds a function for Close to call.
func (h *Host) OnClose(end func()) { h.closers = append(h.closers, end) }

// Afresh returns a host on the same store that reads the configuration again. Its Close closes only
// what it opened itself.
func (h *Host) Afresh() *Host {
	b := *h
	b.cfg, b.pool, b.closers, b.bundles = nil, nil, nil, &bundleCache{}
	return &b
}

// Share returns a host with everything that this one has opened. Its Close closes only what it
// opens itself.
func (h *Host) Share() *Host {
	b := *h
	b.closers, b.bundles = nil, &bundleCache{}
	return &b
}

// Opened returns the engine, or nil if it was not made.
func (h *Host) Opened() *pool.Pool { return h.pool }

// Config returns the configuration, or nil if it was not read.
func (h *Host) Config() *config.Config { return h.cfg }

// Store returns the store, or nil if it was not opened.
func (h *Host) Store() pool.Store { return h.store }

// StoreAt returns the place of the store, for people.
func (h *Host) StoreAt() string { return h.storeAt }

// Mark identifies the applied things that the configuration was read with.
func (h *Host) Mark() string { return h.mark }

// Guard returns the guard of a controller; nil: this process fetches only for its own user.
func (h *Host) Guard() *fetch.Guard { return h.guard }

// LeaveWork notes that there is work for the keeper.
func (h *Host) LeaveWork() { h.left.Store(true) }

// TakeLeft reports whether there is work for the keeper, and resets that.
func (h *Host) TakeLeft() bool { return h.left.Swap(false) }

// NewID makes the id of a lease. Ids grow with time, so consecutive ones are close in an index.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Configuration reads the configuration the first time, and returns it.
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
		opt.ConfigDir = "" // the same for --config
	}
	if dir, err := StateDir(); err == nil {
		opt.Trust.Dir = dir + "/trust"
	}
	cfg, err := config.Load(opt)
	if err != nil {
		return nil, ConfigError(err)
	}
	if h.Whole != nil && !h.stays {
		if what, needs := h.lacks(cfg); what != "" {
			missing := h.Whole()
			if needs {
				return nil, fmt.Errorf("%s: %w", what, missing)
			}
			h.goOn(cfg, missing)
		}
	}
	if !h.stays && h.Stays != nil {
		h.Stays()
	}
	if h.Whole == nil {
		checkTypes(h.Kinds, cfg.Sources)
	}
	for _, r := range cfg.Roots {
		h.Log.Debug("configuration", "root", r.Path, "kind", r.Kind, "there", r.Exists)
	}
	h.stays = true // what others configure from now on replaces no process that has begun
	for _, w := range cfg.Warnings {
		h.Log.Warn("configuration", "err", w)
	}
	if h.Overlay != nil {
		h.Overlay(cfg)
	}
	h.cfg = cfg
	return cfg, nil
}

// ConfigError gives errors of package config their kind, each of several by itself.
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

// DecodeSection decodes a section of hostler.conf into the struct that to points to.
func DecodeSection(section map[string]config.Value, to any) error {
	settings, at := SectionOf(section)
	return ConfigError(config.Decode(settings, at, to))
}

// SectionOf returns a section of hostler.conf in the form that config.Decode takes.
func SectionOf(section map[string]config.Value) (settings map[string]string, position func(string) (string, int)) {
	settings = map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	return settings, func(key string) (string, int) { v := section[key]; return v.File, v.Line }
}

func (h *Host) measured() pool.Store {
	if h.Meters == nil {
		return h.store
	}
	return h.Meters.Store(h.store)
}

func (h *Host) observe() func(pool.Sample) {
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

// LocalUser returns the name of the user of this process. It does not trust the environment, which
// may be another user's or change between commands.
func LocalUser() string {
	// Without cgo, os/user takes $USER for the name of an id that is in no list. It does not if
	// $USER is not set.
	if name, set := os.LookupEnv("USER"); set {
		_ = os.Unsetenv("USER")
		defer func() { _ = os.Setenv("USER", name) }()
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid-" + strconv.Itoa(os.Getuid())
}
