package ec2

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
)

var _ compute.Stopper = (*Provider)(nil)

// Stop shuts an instance down, or has it hibernate, and waits until it is stopped. After grace it
// is stopped by force. A spot instance cannot be stopped.
func (p *Provider) Stop(ctx context.Context, id compute.ID, grace time.Duration) error {
	return fault(ctx, "Stop", id, p.stop(ctx, id, grace))
}

func (p *Provider) stop(ctx context.Context, id compute.ID, grace time.Duration) error {
	m, err := p.find(ctx, id, time.Now())
	if err != nil {
		return err
	}
	if m.spot != "" {
		return &compute.Error{
			Op: "ec2.Stop", ID: id, Kind: compute.ErrInvalid,
			Err:  errors.New("it is a spot instance of a one-time request, which cannot be stopped"),
			Hint: "set spot = no, or cold = 0",
		}
	}
	c, err := p.api(ctx)
	if err != nil {
		return err
	}
	if m.state == types.InstanceStateNameRunning || m.state == types.InstanceStateNamePending {
		if err := p.at("stop"); err != nil {
			return err
		}
		_, err := c.stopInstances(
			ctx,
			&ec2.StopInstancesInput{InstanceIds: []string{m.instance}, Hibernate: aws.Bool(p.o.StopBy == "hibernate")},
		)
		// it was launched when it was not to hibernate, or is not ready for that yet
		if why(err) == Unsupported && p.o.StopBy == "hibernate" {
			_, err = c.stopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{m.instance}})
		}
		if err != nil {
			return err
		}
	}
	forced := false
	end := time.Now().Add(grace)
	return p.await(ctx, id, types.InstanceStateNameStopped, func() error {
		if forced || grace <= 0 || time.Now().Before(end) {
			return nil
		}
		forced = true
		_, err := c.stopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{m.instance}, Force: aws.Bool(true)})
		return err
	})
}

// Start boots an instance that was stopped. It may have another address then.
func (p *Provider) Start(ctx context.Context, id compute.ID) error {
	return fault(ctx, "Start", id, p.start(ctx, id))
}

func (p *Provider) start(ctx context.Context, id compute.ID) error {
	m, err := p.find(ctx, id, time.Now())
	if err != nil {
		return err
	}
	switch m.state {
	case types.InstanceStateNameRunning, types.InstanceStateNamePending:
		return nil
	case types.InstanceStateNameStopping:
		if err := p.await(ctx, id, types.InstanceStateNameStopped, nil); err != nil {
			return err
		}
	}
	c, err := p.api(ctx)
	if err != nil {
		return err
	}
	if err := p.at("start"); err != nil {
		return err
	}
	if _, err = c.startInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{m.instance}}); err != nil {
		return err
	}
	return p.await(ctx, id, types.InstanceStateNameRunning, nil)
}

// await waits until an instance is in a state; meanwhile is called between looks, if there is one.
func (p *Provider) await(ctx context.Context, id compute.ID, state types.InstanceStateName, meanwhile func() error) error {
	for {
		m, err := p.find(ctx, id, time.Now())
		switch {
		case err != nil:
			return err
		case m.state == state:
			return nil
		case m.state == types.InstanceStateNameShuttingDown,
			state == types.InstanceStateNameRunning && m.state == types.InstanceStateNameStopping:
			return &compute.Error{ID: id, Kind: compute.ErrUnavailable, Err: m.off()}
		}
		if meanwhile != nil {
			if err := meanwhile(); err != nil {
				return err
			}
		}
		if err := pause(ctx, p.o.Poll); err != nil {
			return err
		}
	}
}
