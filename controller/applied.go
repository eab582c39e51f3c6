package controller

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/bundle/gotemplate"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
)

// appliedConf is the section [apply] of hostler.conf.
type appliedConf struct {
	// things that administrators apply remotely may run programs on the controller's machine, and
	// read the files and secrets of its user
	MayRun bool `conf:"may-run"`
	// a directory whose files remotely applied things may refer to
	Secrets string `conf:"secrets"`
}

// readApplying reads the section [apply].
func readApplying(cfg *config.Config) (s appliedConf, err error) {
	section := cfg.Sections["apply"]
	err = host.DecodeSection(section, &s)
	if v := section["secrets"]; err == nil && s.Secrets != "" && (!filepath.IsAbs(s.Secrets) || filepath.Clean(s.Secrets) == "/") {
		err = &config.Error{File: v.File, Line: v.Line, Key: "secrets", Msg: "is not the absolute path of a directory of its own"}
	}
	if s.Secrets != "" {
		s.Secrets = filepath.Clean(s.Secrets)
	}
	return s, host.ConfigError(err)
}

// newBook returns the book that applies things to the host's store. leases lists living leases;
// changed is called after a change.
func newBook(
	h *host.Host,
	leases func(context.Context, inventory.LeaseQuery) ([]compute.Lease, error), changed func(context.Context) error,
) *applied.Store {
	return applied.New(applied.Options{Store: h.Store(), Changed: changed, Check: func(
		ctx context.Context, c applied.Candidate,
	) (map[string]string, []string, error) {
		cfg, warnings, err := tryApplied(h, c)
		if err != nil {
			return nil, nil, err
		}
		notes := map[string]string{}
		for _, change := range c.Changes {
			t := change.Thing()
			if change.Action != applied.Pruned || t.Kind != applied.Source {
				continue
			}
			living, err := leases(ctx, inventory.LeaseQuery{Source: t.Name})
			if err != nil {
				return nil, nil, err
			}
			if _, err := cfg.Source(t.Name); err != nil && len(living) > 0 {
				notes[applied.ID(t.Kind, t.Name)] = fmt.Sprintf("its living leases go on until they end: %d", len(living))
			}
		}
		return notes, warnings, nil
	}})
}

// tryApplied reads the configuration as it would be with a candidate. It returns an error for what
// would be wrong and was not wrong before, and warnings for what would be odd.
func tryApplied(h *host.Host, c applied.Candidate) (*config.Config, []string, error) {
	was := h.Afresh()
	defer was.Close()
	before, err := was.Configuration()
	if err != nil {
		return nil, nil, err
	}
	m, err := host.AppliedMirror(before)
	if err != nil {
		return nil, nil, err
	}
	dir, done, err := m.Try(c.Things)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	trial := h.Afresh()
	defer trial.Close()
	trial.Applied = dir
	after, err := trial.Configuration()
	if err != nil {
		return nil, nil, err
	}
	t := &trying{before: before, after: after, shown: strings.NewReplacer(dir+"/", "", m.Path()+"/", "")}
	if t.said, err = readApplying(after); err == nil {
		t.bundles, err = trial.Bundles()
	}
	if err == nil {
		err = t.check(c)
	}
	if err != nil {
		return nil, nil, t.error(err)
	}
	warnings := t.warnings
	for n, w := range warnings {
		warnings[n] = t.shown.Replace(w)
	}
	for _, w := range after.Warnings {
		if text := t.shown.Replace(w.Error()); !slices.ContainsFunc(
			before.Warnings, func(o error) bool { return t.shown.Replace(o.Error()) == text },
		) {
			warnings = append(warnings, text)
		}
	}
	return after, warnings, nil
}

// trying compares the configuration as it would be with the current one.
type trying struct {
	before, after *config.Config
	bundles       bundle.Set
	said          appliedConf
	warnings      []string
	shown         *strings.Replacer // removes the candidate's temporary directory from texts
}

// error removes the candidate's temporary directory from an error.
func (t *trying) error(err error) error {
	if all := api.Apart(err); len(all) > 1 {
		for n, e := range all {
			all[n] = t.error(e)
		}
		return errors.Join(all...)
	}
	err = host.ConfigError(err)
	e, ok := errors.AsType[*compute.Error](err)
	if !ok || t.shown.Replace(err.Error()) == err.Error() {
		return err
	}
	return &compute.Error{Kind: e.Kind, Err: errors.New(t.shown.Replace(term.ErrorText(err))), Hint: t.shown.Replace(e.Hint)}
}

// check checks every wanted thing of a candidate, and that it breaks no other source.
func (t *trying) check(c applied.Candidate) error {
	touched := map[string]bool{}
	for _, change := range c.Changes {
		thing := change.Thing()
		touched[applied.ID(thing.Kind, thing.Name)] = true
		if change.Now == nil {
			continue
		}
		same := change.Action == applied.Unchanged
		err := t.thing(thing.Kind, thing.Name, !c.Caller.May && !same, same)
		if err != nil {
			return err
		}
	}
	for _, f := range faultsOf(t.after) {
		if touched[applied.ID(applied.Source, f.source)] {
			continue
		}
		old, err := t.before.Source(f.source)
		if err == nil && check.FaultOf(old) != nil {
			continue // it was broken before
		}
		// not %w: the cause has another kind
		return &compute.Error{Kind: compute.ErrConflict, Err: fmt.Errorf("this would break the source %s: %v", f.source, f.cause)}
	}
	if _, err := callers.ReadSettings(t.after); err != nil {
		return err
	}
	if err := checkProjects(t.after); err != nil {
		return err
	}
	_, err := readResources(t.after) // it checks the names of projects
	return err
}

// thing returns what is wrong with one thing. afar: the caller may not run programs here. same: the
// thing does not change.
func (t *trying) thing(kind, name string, afar, same bool) error {
	id := applied.ID(kind, name)
	elsewhere := func(file string) error {
		if file == "" {
			file = "another place"
		}
		return &compute.Error{
			ID: compute.ID(id), Kind: compute.ErrConflict, Err: errors.New("it is defined in " + file),
			Hint: "files count before what is applied: take it out of one of both",
		}
	}
	var risks []config.Risk
	var exposed func() (config.Value, bool)
	// checks on this machine, made only when the caller may have them made
	rest := func() error { return nil }
	switch kind {
	case applied.Source:
		s, err := t.after.Source(name)
		switch {
		case err != nil:
			return err
		case !s.Applied:
			return elsewhere(s.File)
		}
		if s.Err != nil {
			return check.FaultOf(s)
		}
		exposed, risks, rest = s.Exposed, t.after.RemoteRisks(s, t.said.Secrets), func() error { return t.fault(s, same) }
		if len(risks) == 0 && ownerOnly(t.after, name, "") {
			risks = append(risks, config.Risk{File: s.File, Why: "its computers are the controller's own machine, or show its files"})
		}
	case applied.Bundle:
		b, err := t.after.Bundle(name)
		switch {
		case err != nil:
			return err
		case !b.Applied:
			return elsewhere(b.File)
		}
		if err := t.bundle(name); err != nil {
			return err
		}
		exposed, risks = b.Exposed, t.after.BundleRemoteRisks(b, t.said.Secrets)
		for _, s := range t.after.Sources {
			if t.puts(s, name) && ownerOnly(t.after, s.Name, "") {
				risks = append(risks, config.Risk{File: b.File, Why: "the source " + s.Name + " puts it on the controller's own machine"})
			}
		}
	case applied.Project:
		p, err := t.after.Project(name)
		switch {
		case err != nil:
			return err
		case !p.Applied:
			return elsewhere(p.File)
		case p.Err != nil:
			return p.Err
		}
		return nil
	}
	if v, ok := exposed(); ok {
		return &config.Error{
			File: v.File, Line: v.Line, Key: v.Key,
			Msg: "is a secret, as it seems, and would be seen by whoever looks at what was applied: refer to it, as in file:PATH",
		}
	}
	if afar && !t.said.MayRun && len(risks) > 0 {
		r := risks[0]
		place := r.File
		if r.Line > 0 {
			place = fmt.Sprintf("%s:%d", r.File, r.Line)
		}
		return &compute.Error{ID: compute.ID(id), Kind: compute.ErrDenied, Err: fmt.Errorf("%s: %s", place, r.Why),
			Hint: "the controller's own user may apply it, on its machine; so may administrators where its hostler.conf has may-run = yes in [apply]"}
	}
	return rest()
}

// fault returns what is wrong with a source. If the source does not change, a problem with the
// files that it names on this machine is only a warning: the request did not cause it.
func (t *trying) fault(s *config.Source, same bool) error {
	odd, err := check.SeenIn(s)
	if same && err != nil && check.ValuesOf(s) == nil {
		t.warnings, err = append(t.warnings, term.TextOf(err)), nil
	}
	t.warnings = append(t.warnings, append(check.OddNumbers(s), check.Named(s, odd)...)...)
	return err
}

// bundle returns what is wrong with a bundle, as far as that is known before it is installed.
func (t *trying) bundle(name string) error {
	d := t.bundles[name]
	if d == nil {
		return fmt.Errorf("the bundle %s is not there", name)
	}
	if d.Err != nil {
		return d.Err
	}
	if slices.ContainsFunc(d.Args, func(a bundle.Arg) bool { return a.Required }) {
		return nil // its user gives the arguments
	}
	_, err := t.bundles.Plan(context.Background(), []string{name}, bundle.PlanOptions{GoTemplate: gotemplate.Expand})
	return err
}

// puts reports whether a source installs a bundle on its computers, directly or by another bundle.
func (t *trying) puts(s *config.Source, name string) bool {
	var in func(all []string, deep int) bool
	in = func(all []string, deep int) bool {
		return deep < 100 && slices.ContainsFunc(all, func(one string) bool {
			b, err := t.after.Bundle(one)
			return one == name || err == nil && in(b.Include, deep+1)
		})
	}
	return in(s.Bundles, 0)
}
