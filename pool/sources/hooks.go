package sources

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/store"
)

// OnHandOut runs the acquire hooks, those of a child before those of the pool in front of it.
func (p *Providers) OnHandOut(ctx context.Context, u *allocate.Grant) error {
	chain := []*compute.Instance{u.Instance}
	// one that was drawn just now has run its own already
	if u.Child == nil && u.Instance.Child != "" {
		var err error
		if chain, err = p.core.Behind(ctx, u.Instance); err != nil {
			return err
		}
	}
	for n := len(chain) - 1; n >= 0; n-- {
		s, err := p.core.Of(ctx, chain[n])
		if err != nil {
			return err
		}
		if s.Has("acquire") {
			if err := p.HooksFor(ctx, s, u.Instance, HookView(u.Instance, chain[n]), 0, "acquire", u.Lease.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// stages is more than a source's hooks of one kind. Resume counts the hooks of each source of a
// chain from a multiple of it.
const stages = 1 << 16

// Hooks runs a source's hooks of one kind for an instance. It records each that is done, so that a
// repetition goes on after it.
func (p *Providers) Hooks(ctx context.Context, s *allocate.Source, i *compute.Instance, event, lease string) error {
	return p.HooksFor(ctx, s, i, i, 0, event, lease)
}

// HooksFor runs the hooks of the source at a stage of a chain. They see the instance of their own
// source. Progress is recorded with the outermost instance, the one that is worked on.
func (p *Providers) HooksFor(ctx context.Context, s *allocate.Source, i, seen *compute.Instance, stage int, event, lease string) error {
	if p.core.Opt.Hooks == nil || i.Resume/stages > stage {
		return nil
	}
	resume := 0
	if i.Resume/stages == stage {
		resume = i.Resume % stages
	}
	p.core.Step("hook:" + event)
	ctx, span := trace.Start(ctx, "hooks", append(About(seen), trace.Attr{Key: "hostler.hook", Value: event})...)
	err := p.core.Opt.Hooks(ctx, state.HookCall{Event: event, Source: s.Name, Definition: s.Definition, Instance: *seen,
		Lease: lease, Resume: resume,
		Connect: func(ctx context.Context) (compute.Conn, error) { return p.into(ctx, seen) },
		Done: func(n int, name string) error {
			if event == "check" || event == "acquire" {
				return nil
			}
			return p.core.Store.Update(ctx, func(tx store.Tx) error {
				if err := p.core.CheckOwned(tx, i); err != nil {
					return err
				}
				i.Resume = stage*stages + n
				return tx.SaveInstance(i)
			})
		}})
	span.End(err)
	if err != nil && !errors.Is(err, compute.ErrStale) {
		return &compute.Error{Op: event + ".d", ID: seen.ID, Kind: compute.ErrFailed, Err: err}
	}
	return err
}

// BundlesAgain has a source's bundles applied to an instance that was made as new.
func (p *Providers) BundlesAgain(ctx context.Context, s *allocate.Source, i *compute.Instance) error {
	if p.core.Opt.Hooks == nil {
		return nil
	}
	p.core.Step("hook:bundles")
	ctx, span := trace.Start(ctx, "bundles", About(i)...)
	err := p.core.Opt.Hooks(ctx, state.HookCall{Event: "bundles", Source: s.Name, Definition: s.Definition, Instance: *i,
		Connect: func(ctx context.Context) (compute.Conn, error) { return p.into(ctx, i) },
		Done:    func(int, string) error { return nil }})
	span.End(err)
	return err
}

// About returns a span's attributes for an instance.
func About(i *compute.Instance) []trace.Attr {
	return []trace.Attr{{Key: "hostler.source", Value: i.Source}, {Key: "hostler.instance", Value: string(i.ID)}}
}
