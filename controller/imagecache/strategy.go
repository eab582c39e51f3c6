package imagecache

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/text/nearest"
)

// strategySection is the section [director.metal.strategy] of hostler.conf: the settings of the
// built-in strategy. A strategy that is a program gets the unknown keys too.
type strategySection struct {
	Share float64 `conf:"percentage-to-cache"` // share of a flavor's nodes, 0 to 1
	// a JSON file, relative to the directory of hostler.conf
	WeightsFile string        `conf:"image-weights-filename"`
	Weight      int           `conf:"default-image-weight"`
	ImageChoice string        `conf:"image-choice"` // weighted or random
	NodeChoice  string        `conf:"node-choice"`  // least-written or random
	Goal        string        `conf:"goal"`         // share or demand
	Minimum     string        `conf:"minimum"`      // FLAVOR/IMAGE: NODES, ...
	Maximum     string        `conf:"maximum"`      // as Minimum
	Ready       float64       `conf:"min-ready"`
	MaxStale    time.Duration `conf:"max-stale"`
	Rebalance   bool          `conf:"rebalance"`
	HitRate     float64       `conf:"hit-rate"`
	Lead        time.Duration `conf:"write-time"`

	Settings map[string]string `conf:",rest"`

	asks bool // the strategy needs the demand
}

// strategy returns the strategy that the configuration names, and its settings.
func (m *Setup) strategy(cfg *config.Config, name string) (metal.Strategy, strategySection, error) {
	section := cfg.Sections["director.metal.strategy"]
	d := strategySection{Share: 0.125, Weight: 1}
	settings, at := host.SectionOf(section)
	if err := config.Decode(settings, at, &d); err != nil {
		return nil, d, host.ConfigError(err)
	}
	if cmp.Or(name, "proportional") == "proportional" {
		for _, key := range slices.Sorted(maps.Keys(d.Settings)) {
			v := section[key]
			return nil, d, host.ConfigError(&config.Error{
				File: v.File, Line: v.Line, Key: key, Msg: "unknown key of the strategy proportional",
				Nearest: nearest.Near(key, config.Keys(d)),
			})
		}
	}
	p := strategy.Proportional{Share: d.Share, Weights: strategy.Weights{Default: d.Weight},
		Choice: strategy.ImageChoice(d.ImageChoice), Goal: strategy.Goal(d.Goal), Ready: d.Ready, MaxStale: d.MaxStale,
		Rebalance: d.Rebalance, HitRate: d.HitRate, Lead: d.Lead, AnyNode: d.NodeChoice == "random"}
	if c := d.NodeChoice; c != "" && c != "random" && c != "least-written" {
		return nil, d, fault.Invalid("", "[director.metal.strategy] node-choice %s: not least-written or random", c)
	}
	if d.Weight < 0 {
		return nil, d, fault.Invalid("", "[director.metal.strategy] default-image-weight %d: less than none", d.Weight)
	}
	var err error
	if p.Least, err = strategy.ParseBounds(d.Minimum); err != nil {
		return nil, d, fault.Invalid("minimum = io/ubuntu: 2, */coreos: 1", "[director.metal.strategy] minimum: %w", err)
	}
	if p.Most, err = strategy.ParseBounds(d.Maximum); err != nil {
		return nil, d, fault.Invalid("maximum = io/ubuntu: 2, */coreos: 1", "[director.metal.strategy] maximum: %w", err)
	}
	if err := p.Check(); err != nil {
		return nil, d, fmt.Errorf("[director.metal.strategy] %w", err)
	}
	d.asks = p.Goal == strategy.ByDemand
	file := d.WeightsFile
	if v := section["image_weights_filename"]; file != "" && !filepath.IsAbs(file) && v.File != "" {
		file = filepath.Join(filepath.Dir(v.File), file)
	}
	if cmp.Or(name, "proportional") != "proportional" {
		path, err := strategy.FindExternal(name)
		d.asks = true
		return &strategy.External{Path: path, Settings: d.Settings, Case: p}, d, err
	}
	if file == "" {
		return &p, d, nil
	}
	return &strategy.WithWeights{Proportional: p, File: file, Log: m.log}, d, nil
}
