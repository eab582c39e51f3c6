package cli

import (
	"errors"
	"slices"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host/socket"
)

// Fits reports whether a controller that was not named has the configuration and the state of this
// command. The user's own may have others. That is so if the command is in a tree with sources of
// its own, or was given another directory. Then it works by itself. The machine's controller has
// its own state. It does not fit either if such a tree or directory is in use.
func (a *App) Fits(self api.Self) (bool, error) {
	if a.chosen {
		return true, nil
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return false, err
	}
	a.Same = self.Own && self.Configuration == socket.ConfigurationName(cfg)
	if a.Same || !a.Machine {
		return a.Same || !self.Own, nil
	}
	return !slices.ContainsFunc(cfg.Roots, func(r config.Root) bool {
		return r.Exists && (r.Tree || r.Kind == "flag" || r.Kind == "env")
	}), nil
}

// Unread adds a hint to an error about a source that is configured here, but unknown to our own
// controller.
func (a *App) Unread(name string, err error) error {
	if !a.Self().Own || !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	cfg, cfgErr := a.Host.Configuration()
	if cfgErr != nil {
		return err
	}
	if _, cfgErr = cfg.Source(name); cfgErr != nil {
		return err
	}
	if a.IsSource(name) {
		return err
	}
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound,
		Err:  errors.New("the controller has not read the configuration since this source is in it"),
		Hint: "hostler reload",
	}
}
