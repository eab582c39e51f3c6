package ec2

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

var _ provider.Stopper = (*Provider)(nil)

// Stop shuts an instance down or hibernates it, and waits until it has stopped. After grace it is
// stopped by force. A spot instance cannot be stopped.
func (p *Provider) Stop(ctx context.Context, id compute.ID, grace time.Duration) error {
	return session.Wrap(ctx, "Stop", id, p.stop(ctx, id, grace))
}

// stop asks for the stop, waits, and after grace forces it once.
func (p *Provider) stop(ctx context.Context, id compute.ID, grace time.Duration) error {
	m, err := p.instances.find(ctx, id, time.Now())
	if err != nil {
		return err
	}
	if m.Spot != "" {
		return &compute.Error{
			Op: "ec2.Stop", ID: id, Kind: compute.ErrInvalid,
			Err:  errors.New("it is a spot instance of a one-time request, which cannot be stopped"),
			Hint: "set spot = no, or cold = 0",
		}
	}
	c, err := p.session.API(ctx)
	if err != nil {
		return err
	}
	if m.State == types.InstanceStateNameRunning || m.State == types.InstanceStateNamePending {
		if err := p.session.At("stop"); err != nil {
			return err
		}
		_, err := c.Instances.Stop(
			ctx,
			&ec2.StopInstancesInput{InstanceIds: []string{m.Instance}, Hibernate: aws.Bool(p.o.StopBy == "hibernate")},
		)
		// it was launched without hibernation, or is not ready for it yet
		if session.Why(err) == session.Unsupported && p.o.StopBy == "hibernate" {
			_, err = c.Instances.Stop(ctx, &ec2.StopInstancesInput{InstanceIds: []string{m.Instance}})
		}
		if err != nil {
			return err
		}
	}
	forced := false
	end := time.Now().Add(grace)
	return p.instances.await(ctx, id, types.InstanceStateNameStopped, func() error {
		if forced || grace <= 0 || time.Now().Before(end) {
			return nil
		}
		forced = true
		_, err := c.Instances.Stop(ctx, &ec2.StopInstancesInput{InstanceIds: []string{m.Instance}, Force: aws.Bool(true)})
		return err
	})
}

// Start boots a stopped instance. Its address may change.
func (p *Provider) Start(ctx context.Context, id compute.ID) error {
	return session.Wrap(ctx, "Start", id, p.start(ctx, id))
}

// start first waits for the end of a stop that is under way. It returns at once if the instance
// boots or runs.
func (p *Provider) start(ctx context.Context, id compute.ID) error {
	m, err := p.instances.find(ctx, id, time.Now())
	if err != nil {
		return err
	}
	switch m.State {
	case types.InstanceStateNameRunning, types.InstanceStateNamePending:
		return nil
	case types.InstanceStateNameStopping:
		if err := p.instances.await(ctx, id, types.InstanceStateNameStopped, nil); err != nil {
			return err
		}
	}
	c, err := p.session.API(ctx)
	if err != nil {
		return err
	}
	if err := p.session.At("start"); err != nil {
		return err
	}
	if _, err = c.Instances.Start(ctx, &ec2.StartInstancesInput{InstanceIds: []string{m.Instance}}); err != nil {
		return err
	}
	return p.instances.await(ctx, id, types.InstanceStateNameRunning, nil)
}
