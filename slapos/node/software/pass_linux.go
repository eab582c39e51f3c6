package software

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// A Master is told what becomes of releases.
type Master interface {
	ReportRelease(ctx context.Context, release, computer, state string) error
	ReportReleaseError(ctx context.Context, release, computer, log string) error
}

var _ Master = (*client.Client)(nil)

// PassOptions are the options of a pass. The zero value builds and removes what is due.
type PassOptions struct {
	Only    []string // URLs of releases, or the names of their directories; none: all
	Collect bool     // remove releases that the computer does not list

	// Before and After are called for each release, whatever is done with it. An error of Before
	// fails it. Both may be nil.
	Before, After func(context.Context, proto.Release) error
}

// A Failed is a release that a pass could not bring to the wanted state.
type Failed struct {
	URL string
	Err error
}

// Pass brings the releases of a computer to the wanted state, in the master's order, and tells the
// master. A failed release is in failed, and stops no other. The error concerns all of them, or
// says that ctx has ended.
func (b *Builder) Pass(ctx context.Context, m Master, c *proto.Computer, o PassOptions) (failed []Failed, err error) {
	b.say("Processing software releases...")
	var wanted []string
	for _, r := range c.Releases {
		if r.State != proto.Destroyed {
			wanted = append(wanted, r.URL)
		}
		if err := b.process(ctx, m, c.ID, r, o); ctx.Err() != nil {
			return failed, context.Cause(ctx)
		} else if err != nil {
			b.warn("%s: %s", r.URL, Brief(err))
			failed = append(failed, Failed{r.URL, err})
			if err := m.ReportReleaseError(ctx, r.URL, c.ID, publicError(err)); err != nil {
				b.warn("The master could not be told so: %v", err)
			}
		}
	}
	if o.Collect {
		_, err = b.Collect(ctx, wanted)
	}
	b.say("Finished software releases.")
	return failed, err
}

// publicError is an error as text for the master's users: of a build the message and the output
// alone.
func publicError(err error) string {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.Error()
	}
	return api.Text(err)
}

// process brings one release to the wanted state.
func (b *Builder) process(ctx context.Context, m Master, computer string, r proto.Release, o PassOptions) (err error) {
	if o.After != nil {
		defer func() { err = errors.Join(err, o.After(ctx, r)) }()
	}
	if o.Before != nil {
		if err := o.Before(ctx, r); err != nil {
			return err
		}
	}
	if len(o.Only) > 0 && !slices.Contains(o.Only, r.URL) && !slices.Contains(o.Only, filepath.Base(b.Dir(r.URL))) {
		return nil
	}
	switch r.State {
	case proto.Available, "":
		if b.Done(r.URL) && !b.Force {
			return nil
		}
		b.say("Installing software release %s...", r.URL)
		if err := m.ReportRelease(ctx, r.URL, computer, jsonapi.ReportedBuilding); err != nil && !errors.Is(err, client.ErrNotFound) {
			return err
		}
		if err := b.Install(ctx, r.URL); err != nil {
			return err
		}
		// before it is marked, so that it is told again
		if err := m.ReportRelease(ctx, r.URL, computer, proto.Available); err != nil {
			return err
		}
		return b.complete(r.URL)
	case proto.Destroyed:
		b.say("Destroying %s...", r.URL)
		if err := b.Remove(ctx, r.URL); err != nil {
			return err
		}
		return m.ReportRelease(ctx, r.URL, computer, proto.Destroyed)
	}
	return fmt.Errorf("the master wants the release to be %q, which no release can be", r.State)
}
