package cli

import (
	"fmt"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider/catalog"
)

// SourceName returns the source to use if none is named: that of -s, of hostler.conf, or the
// default.
func (a *App) SourceName() (string, error) {
	if a.Flags.Source != "" {
		a.Log.Debug("the source", "name", a.Flags.Source, "why", "--source")
		return a.Flags.Source, nil
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return "", err
	}
	if cfg.Defaults.Err != nil {
		return "", host.ConfigError(cfg.Defaults.Err)
	}
	if at := cfg.Defaults.At; at != nil {
		// a controller that is named may have it
		if t, err := a.Named(); err == nil && (t.Where == "" || a.Flags.Embedded) {
			return "", &compute.Error{Kind: compute.ErrNotFound, Err: at, Hint: "hostler source list"}
		}
	}
	name, why := cfg.Defaults.Source, "[defaults] source"
	if name == "" {
		name, why = DefaultSource(a.Host.Kinds), "none is named"
	}
	a.Log.Debug("the source", "name", name, "why", why)
	return name, nil
}

// Configured returns a configured source. Its error names the most similar one.
func (a *App) Configured(name string) (*config.Source, error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, err
	}
	s, err := cfg.Source(name)
	if err != nil {
		names := make([]string, len(cfg.Sources))
		for i, s := range cfg.Sources {
			names[i] = s.Name
		}
		return nil, UnknownSource(name, names)
	}
	return s, nil
}

// DefaultSource is the source to use if none is configured: the last of the built-in ones, which
// isolates where the system can.
func DefaultSource(kinds catalog.Table) string {
	names := kinds.Names(func(k *catalog.Kind) bool { return k.Implicit() })
	return names[len(names)-1]
}

// UnknownSource is the error for a name that is none of the known sources.
func UnknownSource(name string, known []string) error {
	hint := term.DidYouMean(name, known, "")
	if hint == "" {
		hint = "hostler source list"
	}
	return &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound, Err: fmt.Errorf("no such source"), Hint: hint}
}
