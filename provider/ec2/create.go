package ec2

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// visibleWithin is the time after which a new instance is certainly listed.
const visibleWithin = 2 * time.Minute

// Create launches an instance in the first place that has room, and waits until it is listed. It
// returns an existing instance.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	m, err := p.create(ctx, spec)
	if err != nil {
		out := session.Wrap(ctx, "Create", spec.ID, err)
		if provider.WasUnasked(err) {
			out = provider.Unasked(out)
		}
		return compute.Instance{}, out
	}
	return p.instanceOf(ctx, m), nil
}

// create returns a living instance, or launches one. If the image is gone, it looks its name up
// again.
func (p *Provider) create(ctx context.Context, spec compute.Spec) (session.Machine, error) {
	if !name().MatchString(string(spec.ID)) {
		return session.Machine{}, provider.Unasked(&compute.Error{
			ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("not a name that an instance may have"),
		})
	}
	switch same, err := p.instances.findAll(ctx, spec.ID, time.Now()); {
	case err == nil && ending(same[0]) == 0:
		p.single(ctx, same)
		return same[0], nil
	case err == nil:
		return session.Machine{}, &compute.Error{
			ID: spec.ID, Kind: compute.ErrConflict, Err: errors.New("one of this name is being terminated"),
		}
	case !errors.Is(err, compute.ErrNotFound):
		return session.Machine{}, provider.Unasked(err)
	}
	in, img, err := p.launcher.request(ctx, spec)
	if err != nil {
		return session.Machine{}, provider.Unasked(err)
	}
	m, err := p.launcher.launch(ctx, spec, img, in)
	// it was deregistered since it was looked up
	if session.Why(err) == session.Missing && strings.Contains(err.Error(), "AMI") {
		fresh, err2 := p.images.find(ctx, cmp.Or(spec.Image, p.o.Image), true)
		if err2 != nil || fresh.id == img.id {
			return session.Machine{}, err
		}
		in.ImageId, img = aws.String(fresh.id), fresh
		m, err = p.launcher.launch(ctx, spec, img, in)
	}
	if err != nil {
		return session.Machine{}, err
	}
	p.log.Info("launched", "instance", spec.ID, "source", p.o.Source, "provider", m.Instance, "type", m.Type, "zone", m.Zone)
	return p.visible(ctx, m), nil
}

// visible waits until a new instance is listed, which takes a while. It never fails, as the
// instance exists.
func (p *Provider) visible(ctx context.Context, m session.Machine) session.Machine {
	wait := 50 * time.Millisecond
	for end := time.Now().Add(visibleWithin); time.Now().Before(end); wait = min(2*wait, p.o.Poll) {
		l, err := p.instances.look(ctx, time.Now())
		if err != nil && ctx.Err() != nil {
			return m
		}
		if err == nil && l.all[m.ID] != nil {
			return l.all[m.ID][0]
		}
		if session.Pause(ctx, wait) != nil {
			return m
		}
	}
	return m
}
