package kubernetes

import (
	"context"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Step has a provider tell of each step before it is done; an error ends the call as a kill would.
func (p *Provider) Step(f func(string) error) { p.step = f }

// DestroyAfter is Destroy when so much more time has passed.
func (p *Provider) DestroyAfter(ctx context.Context, id compute.ID, d time.Duration) error {
	return p.fault("Destroy", id, p.destroy(ctx, id, time.Now().Add(d)))
}

// CreateAt is Create at another time.
func (p *Provider) CreateAt(ctx context.Context, id compute.ID, now time.Time) error {
	_, err := p.create(ctx, compute.Spec{ID: id}, now)
	return err
}

// WatchHealthAt is WatchHealth at another time.
func (p *Provider) WatchHealthAt(ctx context.Context, now time.Time) error {
	_, err := p.oversee(ctx, now)
	return err
}

// EntersContainer is the container of an instance that commands run in.
func (p *Provider) EntersContainer(t *testing.T, id compute.ID) string {
	in, err := p.objects.known(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return p.objects.containerOf(in)
}

// Slow has an instance have been starting for long.
func (p *Provider) Slow(id compute.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entrance.waits[id] = startCondition{next: time.Now()}
}

// Misplace has a provider believe that our program is elsewhere in a pod than it is.
func (p *Provider) Misplace(uid string) {
	p.entrance.place(uid, &placing{path: "/nowhere/.hostler-agent"})
}

// Fresh has what a broken watch told count for so long.
func (o *Options) Fresh(d time.Duration) { o.fresh = d }

// Says runs a script in a pod as we do for ourselves.
func (p *Provider) Says(ctx context.Context, id compute.ID, script string) (string, error) {
	in, err := p.objects.known(ctx, id)
	if err != nil {
		return "", err
	}
	return p.c.container(in.Metadata.Name, p.objects.containerOf(in)).Say(ctx, nil, script)
}

var Open = open
