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
	"github.com/hostler-project/hostler/provider/ec2/session"
)

var _ compute.Checker = (*Provider)(nil)

// health is what the service says about those that run.
type health struct {
	instances *instances

	asking chan struct{} // one slot: who has it reads the report, or looks at it
	last   *healthReport
}

// healthReport is what the service said at a time.
type healthReport struct {
	began time.Time
	bad   map[string]string // why an instance, by EC2's id, is not to be given to anybody
}

// healthFor is how long that is believed, in looks at what there is. A spot instance is told two
// minutes before it ends.
const healthFor = 5

// Check returns nil for an instance that runs, whose status checks have not failed, and that the
// service has not announced to take away: a spot instance that is interrupted, a host that is
// retired.
func (p *Provider) Check(ctx context.Context, id compute.ID) error {
	return session.Wrap(ctx, "Check", id, p.check(ctx, id))
}

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

// since returns what is known of all instances from a time on. One asks for all who wait.
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
