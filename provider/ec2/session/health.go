package session

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// atOnce is how many instances one request for status may name.
const atOnce = 100

// Impaired returns what is wrong with instances according to their status, by EC2's ids.
func (s *Session) Impaired(ctx context.Context, running []string) (map[string]string, error) {
	c, err := s.API(ctx)
	if err != nil {
		return nil, err
	}
	bad := map[string]string{}
	for some := range slices.Chunk(running, atOnce) {
		out, err := c.Instances.Status(ctx, &ec2.DescribeInstanceStatusInput{InstanceIds: some})
		if Why(err) == Missing {
			continue // one has ended meanwhile, which the next look finds out
		}
		if err != nil {
			return nil, err
		}
		for _, one := range out.InstanceStatuses {
			note(bad, one)
		}
	}
	return bad, nil
}

// note adds what is wrong with an instance.
func note(bad map[string]string, s types.InstanceStatus) {
	id := aws.ToString(s.InstanceId)
	for _, e := range s.Events {
		what := cmp.Or(aws.ToString(e.Description), string(e.Code))
		if len(what) >= len("[Completed]") && what[:len("[Completed]")] == "[Completed]" ||
			len(what) >= len("[Canceled]") && what[:len("[Canceled]")] == "[Canceled]" {
			continue
		}
		bad[id] = fmt.Sprintf("EC2 has announced for %s: %s: %s", aws.ToTime(e.NotBefore).UTC().Format(time.RFC3339), e.Code, what)
	}
	for name, sum := range map[string]*types.InstanceStatusSummary{"system": s.SystemStatus, "instance": s.InstanceStatus} {
		if sum != nil && sum.Status == types.SummaryStatusImpaired {
			bad[id] = "EC2's " + name + " status check fails: impaired"
		}
	}
}
