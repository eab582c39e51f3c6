package ec2

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

var _ provider.Consoler = (*Provider)(nil)

// Console returns the end of the output on an instance's serial console, at most 64 KiB. It may lag
// some minutes, except for types whose output EC2 can read live.
func (p *Provider) Console(ctx context.Context, id compute.ID) (string, error) {
	m, err := p.instances.find(ctx, id, time.Now().Add(-p.o.Poll))
	if err != nil {
		return "", session.Wrap(ctx, "Console", id, err)
	}
	text, err := p.consoleOf(ctx, m.Instance)
	return text, session.Wrap(ctx, "Console", id, err)
}

// consoleOf asks for the live output. Older types have none, so it then asks for the stored output.
func (p *Provider) consoleOf(ctx context.Context, instance string) (string, error) {
	c, err := p.session.API(ctx)
	if err != nil {
		return "", err
	}
	out, err := c.Instances.Console(ctx, &ec2.GetConsoleOutputInput{InstanceId: aws.String(instance), Latest: aws.Bool(true)})
	if session.Why(err) == session.Unsupported {
		out, err = c.Instances.Console(ctx, &ec2.GetConsoleOutputInput{InstanceId: aws.String(instance)})
	}
	if err != nil {
		return "", err
	}
	b, err := base64.StdEncoding.DecodeString(aws.ToString(out.Output))
	return string(b), err
}
