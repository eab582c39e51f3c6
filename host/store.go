package host

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// StoreSection is the section [store] of hostler.conf.
type StoreSection struct {
	// address of a PostgreSQL database, or a reference to it; "": state.db in the state directory
	URL string `conf:"url"`
}

// readStoring reads the section [store].
func readStoring(cfg *config.Config) (s StoreSection, err error) {
	section := cfg.Sections["store"]
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	err = config.Decode(settings, func(key string) (string, int) { v := section[key]; return v.File, v.Line }, &s)
	return s, ConfigError(err)
}

// StoreName returns the name of the store before it is open. It contains no secret.
func StoreName(cfg *config.Config, state string) string {
	if s, err := readStoring(cfg); err == nil && s.URL != "" {
		return ShownAddress(s.URL)
	}
	return filepath.Join(state, "state.db")
}

// SameStore returns an error if two configurations name different stores.
func SameStore(was, now *config.Config) error {
	old, _ := readStoring(was) // it was read without error before
	next, err := readStoring(now)
	if err == nil && old != next {
		err = fault.Conflict(
			"start the controller anew, or put [store] back as it was",
			"[store] is not as it was when the controller began, and it has the old one open",
		)
	}
	return err
}

// ShownAddress returns an address as it may be shown, or "(hidden)" if it may contain a password.
func ShownAddress(address string) string {
	if HasPassword(address) {
		return "(hidden)"
	}
	return address
}

// HasPassword reports whether a database's address contains a password, or may contain one.
func HasPassword(address string) bool {
	if config.IsReference(address) {
		return false
	}
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		_, in := u.User.Password()
		q, err := url.ParseQuery(u.RawQuery)
		return in || err != nil || q.Has("password") || q.Has("sslpassword")
	}
	return !strings.Contains(address, "=") || strings.Contains(strings.ToLower(address), "password")
}

// AddressHint says how to write the setting.
const AddressHint = "url = env:NAME, file:PATH, command:WORDS or keyring:NAME, which give an address like postgres://USER:PASSWORD@HOST/DATABASE; one without a password may stand there itself"

// DatabaseAddress returns the address in [store] with its reference resolved; "": the file is used.
func DatabaseAddress(ctx context.Context, cfg *config.Config) (string, error) {
	said, err := readStoring(cfg)
	v, set := cfg.Sections["store"]["url"]
	if err != nil || !set {
		return "", err
	}
	address := said.URL
	switch {
	case config.IsReference(address):
		if address, err = config.Secret(ctx, said.URL); err == nil && address == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return "", fault.Invalid(AddressHint, "%s:%d: [store] url: %w", v.File, v.Line, err)
		}
	case address == "" || HasPassword(address):
		return "", fault.Invalid(AddressHint, "%s:%d: [store] url: a password does not belong in this file", v.File, v.Line)
	}
	return address, nil
}

// inDatabase reports whether the state is in a database, by a configuration.
func inDatabase(cfg *config.Config) bool {
	_, named := cfg.Sections["store"]["url"]
	return named
}

// note reads a note of the store, which is open.
func (h *Host) note(ctx context.Context, name string) (text string, err error) {
	err = h.store.View(ctx, func(tx store.Tx) error {
		text, err = tx.Note(name)
		return err
	})
	return text, err
}

// OpenStore opens the store the first time, and returns it: the file, or the database of [store].
func (h *Host) OpenStore(ctx context.Context, cfg *config.Config) (pool.Store, error) {
	if h.store != nil {
		return h.store, nil
	}
	state, err := StateDir()
	if err != nil {
		return nil, err
	}
	address, err := DatabaseAddress(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if address == "" {
		h.storeAt = filepath.Join(state, "state.db")
		h.Log.Debug("the store is opened", "file", h.storeAt)
		store, err := sqlite.Open(ctx, h.storeAt, sqlite.Options{Migrate: h.Migrate})
		if err != nil {
			return nil, err
		}
		h.OnClose(func() {
			if store.Long() { // otherwise the end of the process closes it, which is faster
				_ = store.Close()
			}
		})
		h.store = store
		return store, nil
	}
	if h.Database == nil {
		return nil, fault.Invalid(
			"a Go program sets Database in host.Options", "[store] url names a database, and this program was made without one",
		)
	}
	store, err := h.Database(ctx, address, h.Log)
	if err != nil {
		return nil, err
	}
	h.storeAt = "PostgreSQL at " + store.Name()
	h.OnClose(func() { _ = store.Close() })
	h.store = store
	return store, nil
}
