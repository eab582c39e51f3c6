package ec2

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/session"
	"github.com/hostler-project/hostler/provider/flavor"
)

// Usage returns what runs in the region, of any maker: the flavor of each instance that has not
// ended. limit is the greatest number of instances. 0: the service or these credentials do not
// tell, which is logged. Amazon's EC2 limits virtual processors instead, see Limits. The number
// that it still tells is not used.
func (p *Provider) Usage(ctx context.Context) (limit int, used []flavor.Flavor, err error) {
	limit, used, err = p.quotas.usage(ctx)
	return limit, used, session.Wrap(ctx, "Usage", compute.ID(p.o.Source), err)
}

// usage returns the limit on the number of instances, and the flavors of those that run.
func (q *quotas) usage(ctx context.Context) (limit int, used []flavor.Flavor, err error) {
	c, all, err := q.running(ctx)
	if err != nil {
		return 0, nil, err
	}
	for _, i := range all {
		used = append(used, i.Flavor)
	}
	if q.session.Amazon() {
		return 0, used, nil
	}
	out, err := c.Region.Attributes(
		ctx, &ec2.DescribeAccountAttributesInput{AttributeNames: []types.AccountAttributeName{"max-instances"}},
	)
	if err != nil {
		f := session.FaultOf(err)
		if f != nil && f.Reason == session.Denied {
			q.log.Warn(
				"how many instances there may be is not told: what is running is counted, and no limit", "source",
				q.o.Source, "permission", "ec2:DescribeAccountAttributes", "err", err,
			)
			return 0, used, nil
		}
		if f != nil && (f.Code == "InvalidAction" || f.Code == "UnsupportedOperation") {
			return 0, used, nil
		}
		return 0, nil, err
	}
	for _, a := range out.AccountAttributes {
		for _, v := range a.AttributeValues {
			if n, err := strconv.Atoi(aws.ToString(v.AttributeValue)); err == nil && n > 0 {
				limit = n
			}
		}
	}
	return limit, used, nil
}

// counted is an instance that counts under quotas.
type counted struct {
	flavor.Flavor
	spot bool
}

// running returns the region's instances that have not ended, whoever made them.
func (q *quotas) running(ctx context.Context) (c *session.Calls, used []counted, err error) {
	if c, err = q.session.API(ctx); err != nil {
		return nil, nil, err
	}
	all, err := q.types.all(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	sizes := map[string]flavor.Flavor{}
	for _, s := range all {
		sizes[s.Name] = s.Flavor
	}
	running := session.Filter(
		"instance-state-name", string(types.InstanceStateNamePending), string(types.InstanceStateNameRunning),
		string(types.InstanceStateNameStopping), string(types.InstanceStateNameShuttingDown),
	)
	for i, err := range c.Instances.All(ctx, running) {
		if err != nil {
			return nil, nil, err
		}
		f, ok := sizes[string(i.InstanceType)]
		if !ok {
			// an old type still counts
			f = flavor.Flavor{Name: string(i.InstanceType)}
		}
		used = append(used, counted{f, i.InstanceLifecycle == types.InstanceLifecycleTypeSpot})
	}
	return c, used, nil
}
