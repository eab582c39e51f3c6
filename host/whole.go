package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/provider/catalog"
)

// foreignFile in the state directory says that sources of kinds beyond those of the function
// Kinds were used with this state. Their instances may outlive the configuration that named them.
const foreignFile = "foreign-kinds"

// lacks says what this program lacks for a configuration or for the state: a kind of sources, or
// the database. "": nothing. needs: it can do nothing without. Without a kind, it does what touches
// no source of that kind.
func (h *Host) lacks(cfg *config.Config) (what string, needs bool) {
	if inDatabase(cfg) && h.Database == nil {
		return "[store] names a database", true
	}
	for _, s := range cfg.Sources {
		if foreign(h.Kinds, s) && !errors.Is(s.Err, config.ErrUntrusted) {
			return "source " + s.Name + " is of type " + s.Type, false
		}
	}
	if state, err := StateDir(); err == nil {
		path := filepath.Join(state, foreignFile)
		if _, err := os.Lstat(path); err == nil {
			return "sources of other kinds were used with this state, says " + path, false
		}
	}
	if len(cfg.Foreign) > 0 {
		return "a source that is not used is of type " + cfg.Foreign[0], false
	}
	return "", false
}

// foreign reports whether a source is of none of the kinds.
func foreign(kinds catalog.Table, s *config.Source) bool {
	_, known := kinds.Find(s.Type)
	return !known && s.Type != ""
}

// goOn has this program work without the one that has all kinds: the sources of those kinds are
// broken, and nothing of theirs is judged by what is written here.
func (h *Host) goOn(cfg *config.Config, missing error) {
	h.missing = missing
	for _, s := range cfg.Sources {
		if foreign(h.Kinds, s) && s.Err == nil {
			s.Err = h.lacking(s.Name, s.Type)
		}
	}
	h.Log.Warn("hostlerd is missing", "err", missing)
}

// lacking is the error for a source of a kind that this program does not have.
func (h *Host) lacking(source, typ string) error {
	e := &compute.Error{
		Kind: compute.ErrUnavailable, Err: fmt.Errorf("source %s: its type %s is not in this program", source, typ),
		Hint: "the same command again is done by hostlerd, which has it",
	}
	if h.missing != nil {
		e.Err, e.Hint = fmt.Errorf("source %s is of type %s: %w", source, typ, h.missing), compute.Hint(h.missing)
	}
	return e
}

// noteKind makes foreignFile once a source of such a kind can be used, and so before it has an
// instance. A type that is only written somewhere leaves nothing. Nor does one whose instances are
// in a database: [store] names that, and a controller then may have no directory for a state.
func noteKind(cfg *config.Config, state, typ string) error {
	if _, usual := Kinds().Find(typ); usual || inDatabase(cfg) {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(state, foreignFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// kind returns the kind of a source's type. Where another program has more kinds, a type that
// this one does not know is one of those, and no executable of the user's.
func (h *Host) kind(source, typ string) (*catalog.Kind, error) {
	if _, known := h.Kinds.Find(typ); !known && h.Whole != nil {
		return nil, h.lacking(source, typ)
	}
	return h.Kinds.Kind(typ), nil
}
