package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

var _ provider.Checker = (*Provider)(nil)

// health caches what the service reports about running instances.
type health struct {
	instances *instances

	asking chan struct{} // one slot: its holder reads or uses the report
	last   *healthReport
}

// healthReport is the report at one time.
type healthReport struct {
	began time.Time
	bad   map[string]string // why an instance must not be granted, by EC2's id
}

// healthFor is how long a report is reused, in multiples of Options.Poll. A spot instance is warned
// two minutes before its end.
const healthFor = 5

// Check returns nil for a running instance whose status checks pass. It is an error if the service
// has announced to take it away: a spot interruption, or the end of a host.
func (p *Provider) Check(ctx context.Context, id compute.ID) error {
	return session.Wrap(ctx, "Check", id, p.check(ctx, id))
}

// check reads a list of instances up to one poll old, and health up to healthFor polls old.
func (p *Provider) check(ctx context.Context, id compute.ID) error {
	m, err := p.instances.find(ctx, id, time.Now().Add(-p.o.Poll))
	if err != nil {
		return err
	}
	bad := func(kind error, err error) error {
		return &compute.Error{Op: "ec2.Check", ID: id, Kind: kind, Err: err, Hint: "discard it"}
	}
	switch m.State {
	case types.InstanceStateNameRunning:
	case types.InstanceStateNamePending:
		return bad(compute.ErrNotReady, errors.New("it is pending"))
	default:
		return bad(compute.ErrUnavailable, m.Off())
	}
	h, err := p.health.since(ctx, time.Now().Add(-healthFor*p.o.Poll))
	if err != nil {
		return err
	}
	if why := h.bad[m.Instance]; why != "" {
		return bad(compute.ErrUnavailable, errors.New(why))
	}
	return nil
}

// since returns a report that is not older than a time. One caller reads it for all that wait.
func (h *health) since(ctx context.Context, since time.Time) (*healthReport, error) {
	select {
	case h.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-h.asking }()
	if r := h.last; r != nil && !r.began.Before(since) {
		return r, nil
	}
	r, err := h.read(ctx)
	if err != nil {
		return nil, err
	}
	h.last = r
	return r, nil
}

// read collects failed status checks, and the spot instances that EC2 takes back.
func (h *health) read(ctx context.Context) (*healthReport, error) {
	r := &healthReport{began: time.Now()}
	l, err := h.instances.look(ctx, time.Now().Add(-h.instances.o.Poll))
	if err != nil {
		return nil, err
	}
	var running []string
	spot := false
	for _, same := range l.all {
		for _, m := range same {
			if m.State == types.InstanceStateNameRunning {
				running = append(running, m.Instance)
				spot = spot || m.Spot != ""
			}
		}
	}
	if r.bad, err = h.instances.session.Impaired(ctx, running); err != nil {
		return nil, err
	}
	if !spot {
		return r, nil
	}
	c, err := h.instances.session.API(ctx)
	if err != nil {
		return nil, err
	}
	for q, err := range c.Spot.AllRequests(
		ctx, h.instances.ours(session.Filter("state", "active", "closed", "cancelled", "failed", "disabled"))...,
	) {
		if err != nil {
			return nil, err
		}
		if q.Status != nil && slices.Contains([]string{"marked-for-termination", "marked-for-stop",
			"instance-terminated-by-price", "instance-terminated-no-capacity",
			"instance-terminated-capacity-oversubscribed", "instance-terminated-by-service",
			"instance-terminated-launch-group-constraint"}, aws.ToString(q.Status.Code)) {
			r.bad[aws.ToString(q.InstanceId)] = fmt.Sprintf("EC2 takes the spot instance back: %s", aws.ToString(q.Status.Code))
		}
	}
	return r, nil
}
