package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
)

var _ compute.Checker = (*Provider)(nil)

// health is what the service says about those that run, as it was at a time.
type health struct {
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
	return fault(ctx, "Check", id, p.check(ctx, id))
}

func (p *Provider) check(ctx context.Context, id compute.ID) error {
	m, err := p.find(ctx, id, time.Now().Add(-p.o.Poll))
	if err != nil {
		return err
	}
	bad := func(kind error, err error) error {
		return &compute.Error{Op: "ec2.Check", ID: id, Kind: kind, Err: err, Hint: "discard it"}
	}
	switch m.state {
	case types.InstanceStateNameRunning:
	case types.InstanceStateNamePending:
		return bad(compute.ErrNotReady, errors.New("it is pending"))
	default:
		return bad(compute.ErrUnavailable, m.off())
	}
	h, err := p.healthSince(ctx, time.Now().Add(-healthFor*p.o.Poll))
	if err != nil {
		return err
	}
	if why := h.bad[m.instance]; why != "" {
		return bad(compute.ErrUnavailable, errors.New(why))
	}
	return nil
}

// healthSince returns what is known of all instances from a time on. One asks for all who wait.
func (p *Provider) healthSince(ctx context.Context, since time.Time) (*health, error) {
	select {
	case p.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-p.asking }()
	if h := p.health; h != nil && !h.began.Before(since) {
		return h, nil
	}
	h, err := p.readHealth(ctx)
	if err != nil {
		return nil, err
	}
	p.health = h
	return h, nil
}

// atOnce is how many instances' status may be asked for by name.
const atOnce = 100

// impaired says what is wrong with instances, by EC2's ids, as far as their status tells it.
func (p *Provider) impaired(ctx context.Context, c *calls, running []string) (map[string]string, error) {
	h := &health{bad: map[string]string{}}
	for some := range slices.Chunk(running, atOnce) {
		out, err := c.describeInstanceStatus(ctx, &ec2.DescribeInstanceStatusInput{InstanceIds: some})
		if why(err) == Missing {
			continue // one has ended meanwhile, and is found out by the next look
		}
		if err != nil {
			return nil, err
		}
		for _, s := range out.InstanceStatuses {
			h.note(s)
		}
	}
	return h.bad, nil
}

func (p *Provider) readHealth(ctx context.Context) (*health, error) {
	h := &health{began: time.Now()}
	l, err := p.look(ctx, time.Now().Add(-p.o.Poll))
	if err != nil {
		return nil, err
	}
	c, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	var running []string
	spot := false
	for _, same := range l.all {
		for _, m := range same {
			if m.state == types.InstanceStateNameRunning {
				running = append(running, m.instance)
				spot = spot || m.spot != ""
			}
		}
	}
	if h.bad, err = p.impaired(ctx, c, running); err != nil {
		return nil, err
	}
	if !spot {
		return h, nil
	}
	pages := ec2.NewDescribeSpotInstanceRequestsPaginator(
		describeSpotInstanceRequestsPages(c.describeSpotInstanceRequests),
		&ec2.DescribeSpotInstanceRequestsInput{Filters: p.ours(filter("state", "active", "closed", "cancelled", "failed", "disabled"))},
	)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.SpotInstanceRequests {
			if r.Status != nil && slices.Contains([]string{"marked-for-termination", "marked-for-stop",
				"instance-terminated-by-price", "instance-terminated-no-capacity",
				"instance-terminated-capacity-oversubscribed", "instance-terminated-by-service",
				"instance-terminated-launch-group-constraint"}, aws.ToString(r.Status.Code)) {
				h.bad[aws.ToString(r.InstanceId)] = fmt.Sprintf("EC2 takes the spot instance back: %s", aws.ToString(r.Status.Code))
			}
		}
	}
	return h, nil
}

// note keeps what is wrong with an instance.
func (h *health) note(s types.InstanceStatus) {
	id := aws.ToString(s.InstanceId)
	for _, e := range s.Events {
		what := cmp.Or(aws.ToString(e.Description), string(e.Code))
		if len(what) >= len("[Completed]") && what[:len("[Completed]")] == "[Completed]" ||
			len(what) >= len("[Canceled]") && what[:len("[Canceled]")] == "[Canceled]" {
			continue
		}
		h.bad[id] = fmt.Sprintf("EC2 has announced for %s: %s: %s", aws.ToTime(e.NotBefore).UTC().Format(time.RFC3339), e.Code, what)
	}
	for name, sum := range map[string]*types.InstanceStatusSummary{"system": s.SystemStatus, "instance": s.InstanceStatus} {
		if sum != nil && sum.Status == types.SummaryStatusImpaired {
			h.bad[id] = "EC2's " + name + " status check fails: impaired"
		}
	}
}
