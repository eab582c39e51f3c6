package imagecache

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider/ironic"
)

// Prefixes of the sections of hostler.conf with rules; a name of the user's choice follows. Rules
// apply in the order in which they are written.
const (
	ImageRules  = "director.metal.image "
	FlavorRules = "director.metal.flavor "
)

// ironicSection is the section [director.metal.scout] where the scout is ironic.
type ironicSection struct {
	// a source of type ironic: its cloud is asked, its installation's marks count, and hot standbys
	// let in its key
	Source string `conf:"source"`
	// a shipped set of rules, applied before those of the sections; "": none
	Preset   string `conf:"preset"`
	PowerOff bool   `conf:"power-off"` // hot standbys are switched off
}

// ironicFlavor is a section with a flavor's rule.
type ironicFlavor struct {
	ironic.FlavorRule
	Way     string `conf:"way"`     // how an image is written to the nodes
	Steps   string `conf:"steps"`   // of the way clean: a JSON list
	Runbook string `conf:"runbook"` // of the way clean, in place of steps
}

// ironic returns the scout and the commander for a source of type ironic. Call closer when neither
// is used any more.
func (m *Setup) ironic(
	ctx context.Context, cfg *config.Config,
) (scout metal.Scout, commander metal.Commander, closer func(), err error) {
	closer = func() {}
	fail := func(text string, args ...any) (metal.Scout, metal.Commander, func(), error) {
		return nil, nil, closer, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf(text, args...), Hint: "see docs/director-metal.md",
		}
	}
	var said ironicSection
	settings, at := host.SectionOf(cfg.Sections["director.metal.scout"])
	if err := config.Decode(settings, at, &said); err != nil {
		return nil, nil, closer, host.ConfigError(err)
	}
	if said.Source == "" {
		return fail("scout = ironic: nobody says of which source: [director.metal.scout] source = NAME, one of type ironic")
	}
	s, err := cfg.Source(said.Source)
	if err != nil {
		return nil, nil, closer, host.ConfigError(err)
	}
	if s.Err != nil {
		return nil, nil, closer, host.ConfigError(s.Err)
	}
	if s.Type != ironic.Kind.Name {
		return fail("[director.metal.scout] source = %s: it is of type %s, not ironic", said.Source, s.Type)
	}
	images, flavors, err := IronicRules(cfg, said.Preset)
	if err != nil {
		return nil, nil, closer, err
	}
	state, err := host.StateDir()
	if err != nil {
		return nil, nil, closer, err
	}
	o := ironic.Options{Source: s.Name, Installation: m.host.Store().Installation(), Dir: host.ComputersDir(state, s.Name)}
	if err := config.Decode(s.Settings, host.PositionOf(cfg, s.Name, s.Type), &o); err != nil {
		return nil, nil, closer, host.ConfigError(err)
	}
	p, err := ironic.Open(ctx, m.log, o)
	if err != nil {
		return nil, nil, closer, err
	}
	key, err := p.PublicKey()
	if err != nil {
		return nil, nil, closer, err
	}
	var keys []string
	if key != "" {
		keys = []string{key}
	}
	data, err := p.UserData()
	if err != nil {
		return nil, nil, closer, err
	}
	if scout, err = ironic.NewScout(ironic.ScoutOptions{
		Session: p.Session(), Installation: o.Installation, Images: images, Flavors: flavors, For: p,
	}); err != nil {
		return fail("%w", err)
	}
	c, err := ironic.NewCommander(ironic.CommanderOptions{Session: p.Session(), Installation: o.Installation,
		Flavors: flavors, Keys: keys, UserData: data, HostKey: p.GivesHostKeys(),
		PowerOff: said.PowerOff, Log: m.log})
	if err != nil {
		return fail("%w", err)
	}
	return scout, c, func() { _ = c.Close(); p.CloseIdle() }, nil
}

// IronicRules reads the rules of images and flavors, those of a preset first.
func IronicRules(cfg *config.Config, preset string) (images []ironic.ImageRule, flavors []ironic.FlavorRule, err error) {
	if preset != "" {
		if images, flavors, err = ironic.Preset(preset); err != nil {
			return nil, nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("[director.metal.scout] %w", err)}
		}
	}
	for _, section := range inOrder(cfg, ImageRules) {
		var r ironic.ImageRule
		settings, at := host.SectionOf(cfg.Sections[section])
		if err := config.Decode(settings, at, &r); err != nil {
			return nil, nil, host.ConfigError(err)
		}
		if err := r.Check(); err != nil {
			return nil, nil, badRule(section, err)
		}
		images = append(images, r)
	}
	for _, section := range inOrder(cfg, FlavorRules) {
		var r ironicFlavor
		settings, at := host.SectionOf(cfg.Sections[section])
		if err := config.Decode(settings, at, &r); err != nil {
			return nil, nil, host.ConfigError(err)
		}
		r.FlavorRule.Name = cmp.Or(r.Name, strings.TrimPrefix(section, FlavorRules))
		r.FlavorRule.Way, r.FlavorRule.Runbook = ironic.Way(r.Way), r.Runbook
		if r.Steps != "" {
			if err := json.Unmarshal([]byte(r.Steps), &r.FlavorRule.Steps); err != nil {
				return nil, nil, &compute.Error{
					Kind: compute.ErrInvalid,
					Err:  fmt.Errorf("[%s] steps: no JSON list of cleaning steps: %w", section, err),
				}
			}
		}
		if err := r.FlavorRule.Check(); err != nil {
			return nil, nil, badRule(section, err)
		}
		flavors = append(flavors, r.FlavorRule)
	}
	return images, flavors, nil
}

func badRule(section string, err error) error {
	return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("[%s] %w", section, err), Hint: "see docs/director-metal.md"}
}

// inOrder returns the sections with a prefix, in the order of the files.
func inOrder(cfg *config.Config, prefix string) []string {
	type place struct {
		file string
		line int
	}
	first := map[string]place{}
	for name, section := range cfg.Sections {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		for _, v := range section {
			if p, ok := first[name]; !ok || p.file == v.File && v.Line < p.line {
				first[name] = place{v.File, v.Line}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		return cmp.Or(strings.Compare(first[a].file, first[b].file), cmp.Compare(first[a].line, first[b].line))
	})
}
