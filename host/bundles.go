package host

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"sync"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/pool"
)

// Bundles returns all configured bundles. The caller may change the returned set. An error in a
// bundle shows when the bundle is used.
func (h *Host) Bundles() (bundle.Set, error) {
	cfg, err := h.Configuration()
	if err != nil {
		return nil, err
	}
	c := h.bundles
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil {
		c.set = bundle.Set{}
		for _, b := range cfg.Bundles {
			c.set[b.Name] = c.add(cfg, b)
		}
	}
	return maps.Clone(c.set), nil
}

// bundleCache holds the bundles of one reading of the configuration.
type bundleCache struct {
	mu   sync.Mutex
	set  bundle.Set
	ends []func() error // close the bundles' directories
}

// close closes the directories of all bundles.
func (c *bundleCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.ends {
		_ = end()
	}
	c.set, c.ends = nil, nil
}

// add converts a configured bundle to package bundle's form.
func (c *bundleCache) add(cfg *config.Config, b *config.Bundle) *bundle.Definition {
	broken := func(err error) *bundle.Definition {
		return &bundle.Definition{Name: b.Name, File: b.File, Err: ConfigError(err)}
	}
	if b.Err != nil {
		return broken(b.Err)
	}
	files, end, err := b.Files()
	if err != nil {
		return broken(&config.Error{File: b.Dir, Err: err})
	}
	c.ends = append(c.ends, end)
	var entries []bundle.Entry
	for _, e := range b.Entries {
		entries = append(entries, bundle.Entry{Section: e.Section, Key: e.Key, Text: e.Text, File: e.File, Line: e.Line})
	}
	d := bundle.Parse(b.Name, b.File, entries, files)
	d.Digest = cfg.BundleDigest(b.Name)
	return d
}

// BundleSecret resolves a variable's value. The result is false if the value is no reference.
func BundleSecret(ctx context.Context, value string) (string, bool, error) {
	if !config.IsReference(value) {
		return "", false, nil
	}
	s, err := config.Secret(ctx, value)
	return s, true, err
}

// BundleFacts returns what the engine knows about an instance, for conditions and templates of
// bundles.
func BundleFacts(i *compute.Instance) bundle.Facts {
	f := bundle.Facts{"id": string(i.ID), "name": string(i.ID), "source": i.Source, "provider_id": i.ProviderID, "address": i.Address}
	for k, v := range i.Facts {
		f["fact."+k] = v
	}
	for _, k := range []string{"region", "image", "flavor"} {
		f[k] = i.Facts[k]
	}
	return f
}

// setUp applies a source's bundles to a new or cleaned instance. The output of scripts goes to the
// instance's log.
func (h *Host) setUp(ctx context.Context, c pool.HookCall, def definition, state string) error {
	set, err := h.Bundles()
	if err != nil {
		return err
	}
	p, err := set.Plan(ctx, def.Bundles, bundle.PlanOptions{Secret: BundleSecret, GoTemplate: h.GoTemplate})
	if err != nil {
		return err
	}
	log, err := openHookLog(filepath.Join(state, "instances", c.Source, "log"), string(c.Instance.ID))
	if err != nil {
		return err
	}
	defer log.Close()
	conn, err := c.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = bundle.Apply(ctx, conn, p, bundle.ApplyOptions{
		Facts: BundleFacts(&c.Instance), Reconnect: c.Connect, Due: true,
		Notify: func(o bundle.Outcome) {
			if o.Action == bundle.Running {
				_, _ = fmt.Fprintf(log, "== %s %s\n", o.Step.Title(), c.Instance.ID)
			}
		},
		Output: func(*bundle.Step) (stdout, stderr io.Writer) { return log, log },
	})
	if err != nil {
		return fmt.Errorf("%w; its output is in %s", err, log.Name())
	}
	return nil
}
