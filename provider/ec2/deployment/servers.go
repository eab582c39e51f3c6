package deployment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// Server is an instance of this installation, of any source.
type Server struct {
	ID         string // EC2's
	Instance   compute.ID
	Source     string
	Deployment string // "": none
	State      string // EC2's state
	Addresses  []string
	Type       string
	Zone       string
	Launched   time.Time
	Problem    string // why it seems to be dead, or about to be; "": it is fine
}

// Servers lists the installation's instances in the region that have not ended, the oldest first.
// deployment selects those of one. "": all instances.
func (p *Place) Servers(ctx context.Context, deployment string) ([]Server, error) {
	out, err := p.servers(ctx, deployment)
	return out, session.Wrap(ctx, "Servers", compute.ID(deployment), err)
}

// servers lists the instances with the installation's tag, and notes what is wrong with them.
func (p *Place) servers(ctx context.Context, deployment string) (out []Server, err error) {
	c, err := p.session.API(ctx)
	if err != nil {
		return nil, err
	}
	filters := []types.Filter{session.Filter("tag:"+session.TagInstallation, p.session.Installation), session.Existing}
	if deployment != "" {
		filters = append(filters, session.Filter("tag:"+session.TagDeployment, deployment))
	}
	var running []string
	for i, err := range c.Instances.All(ctx, filters...) {
		if err != nil {
			return nil, err
		}
		s := serverOf(i)
		if s.State == string(types.InstanceStateNameRunning) {
			running = append(running, s.ID)
		}
		out = append(out, s)
	}
	bad, err := p.session.Impaired(ctx, running)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Problem = cmp.Or(out[i].Problem, bad[out[i].ID])
	}
	slices.SortFunc(out, func(a, b Server) int { return cmp.Or(a.Launched.Compare(b.Launched), strings.Compare(a.ID, b.ID)) })
	return out, nil
}

// serverOf describes an instance of EC2. Source and Deployment come from its tags, and the
// public address is before the private one.
func serverOf(i types.Instance) Server {
	m := session.MachineOf(i)
	s := Server{ID: m.Instance, Instance: m.ID, State: string(m.State), Type: m.Type, Zone: m.Zone, Launched: m.Launched}
	for _, t := range i.Tags {
		switch aws.ToString(t.Key) {
		case session.TagSource:
			s.Source = aws.ToString(t.Value)
		case session.TagDeployment:
			s.Deployment = aws.ToString(t.Value)
		}
	}
	for _, a := range []string{m.Public, m.Private} {
		if a != "" && !slices.Contains(s.Addresses, a) {
			s.Addresses = append(s.Addresses, a)
		}
	}
	return s
}

// Self returns the instance of this account and region that this process runs on, of any maker.
// The metadata service tells it. nil: the process runs elsewhere.
func (p *Place) Self(ctx context.Context) (*Server, error) {
	s, err := p.self(ctx)
	return s, session.Wrap(ctx, "Self", compute.ID(p.session.Source), err)
}

// self returns nil without an error if the process runs outside EC2, or in another account or
// region.
func (p *Place) self(ctx context.Context) (*Server, error) {
	c, err := p.session.API(ctx)
	if err != nil {
		return nil, err
	}
	id := p.session.OwnID(ctx)
	if id == "" {
		return nil, ctx.Err()
	}
	out, err := c.Instances.Describe(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if session.Why(err) == session.Missing {
		return nil, nil // it is of another account, region or cloud
	}
	if err != nil {
		return nil, err
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			s := serverOf(i)
			return &s, nil
		}
	}
	return nil, nil
}

// DestroyServer terminates an instance in any state, waits for its end, and deletes the volumes
// that it left. An ended instance is no error. ErrDenied: this installation did not make it.
func (p *Place) DestroyServer(ctx context.Context, instance string) error {
	return session.Wrap(ctx, "DestroyServer", compute.ID(instance), p.destroyServer(ctx, instance))
}

// destroyServer terminates an instance once, and polls until it has ended. Then it deletes the
// volumes.
func (p *Place) destroyServer(ctx context.Context, instance string) error {
	c, err := p.session.API(ctx)
	if err != nil {
		return err
	}
	var s Server
	for asked := false; ; asked = true {
		out, err := c.Instances.Describe(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{instance}})
		if session.Why(err) == session.Missing {
			break
		}
		if err != nil {
			return err
		}
		var found []types.Instance
		for _, r := range out.Reservations {
			found = append(found, r.Instances...)
		}
		if len(found) == 0 {
			break
		}
		if !slices.ContainsFunc(found[0].Tags, func(t types.Tag) bool {
			return aws.ToString(t.Key) == session.TagInstallation && aws.ToString(t.Value) == p.session.Installation
		}) {
			return &compute.Error{
				ID: compute.ID(instance), Kind: compute.ErrDenied,
				Err: errors.New("hostler did not make it, or another installation did"),
			}
		}
		s = serverOf(found[0])
		m := session.MachineOf(found[0])
		if m.State == types.InstanceStateNameTerminated {
			break
		}
		if !asked {
			err := p.session.Terminate(ctx, []string{instance}, []session.Machine{m})
			if err != nil && session.Why(err) != session.Missing {
				return err
			}
		}
		if err := session.Pause(ctx, p.session.Poll); err != nil {
			return &compute.Error{
				ID: s.Instance, Kind: compute.ErrTimeout,
				Err:  fmt.Errorf("it is asked to end, and is %s: %w", m.State, err),
				Hint: "the same command goes on where this one stopped",
			}
		}
	}
	if s.Instance == "" || s.Source == "" {
		return nil // its parts cannot be told from others
	}
	return p.session.Sweep(ctx, s.Source, s.Instance)
}
