package host

import (
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/policy/fetch"
)

// fetching is the section [fetch] of hostler.conf: where a controller may connect for others,
// besides the internet.
type fetching struct {
	Allow []string `conf:"allow"`
	Deny  []string `conf:"deny"`
}

// readFetching reads the section [fetch].
func readFetching(cfg *config.Config) (allow, deny fetch.Rules, err error) {
	section := cfg.Sections["fetch"]
	var said fetching
	if err := DecodeSection(section, &said); err != nil {
		return nil, nil, err
	}
	for key, to := range map[string]struct {
		words []string
		rules *fetch.Rules
	}{"allow": {said.Allow, &allow}, "deny": {said.Deny, &deny}} {
		if *to.rules, err = fetch.Parse(to.words); err != nil {
			v := section[key]
			return nil, nil, ConfigError(&config.Error{File: v.File, Line: v.Line, Key: key, Err: err})
		}
	}
	return allow, deny, nil
}

// openGuard makes a controller's guard from its configuration. A command has none, as it fetches
// for its own user.
func (h *Host) openGuard(cfg *config.Config) error {
	if h.Role != Controller {
		return nil
	}
	allow, deny, err := readFetching(cfg)
	if err != nil {
		return err
	}
	h.guard = fetch.New(fetch.Options{Allow: allow, Deny: deny, Refused: h.Refused})
	return nil
}

// others says how to fetch images for other users than the owner. own are the images that the
// source itself names.
func (h *Host) others(own ...string) *image.Others {
	if h.guard == nil {
		return nil
	}
	return &image.Others{Registry: h.Registry, Guard: h.guard, Own: own, Log: h.Log}
}
