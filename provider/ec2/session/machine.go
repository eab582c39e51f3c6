package session

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
)

// The tags of everything that we make.
const (
	TagInstallation = "hostler:installation"
	TagSource       = "hostler:source"
	TagInstance     = "hostler:instance"
	TagDeployment   = "hostler:deployment"
	TagUser         = "hostler:user"     // the log-in user
	TagHostKey      = "hostler:host-key" // how the host's key is known: user-data or console
	TagImage        = "hostler:image"    // of an image: its name
)

// Machine is an instance as EC2 describes it.
type Machine struct {
	ID       compute.ID
	Instance string // EC2's id
	State    types.InstanceStateName
	Why      string // why it is not running
	Public   string // addresses
	Private  string
	Launched time.Time // or last started
	Type     string
	Zone     string
	Image    string
	Arch     string
	Spot     string // its spot request; "": on demand
	User     string
	HostKey  string
}

// MachineOf converts EC2's description of an instance.
func MachineOf(i types.Instance) Machine {
	m := Machine{
		Instance: aws.ToString(i.InstanceId), Public: aws.ToString(i.PublicIpAddress),
		Private: aws.ToString(i.PrivateIpAddress), Launched: aws.ToTime(i.LaunchTime), Type: string(i.InstanceType),
		Image: aws.ToString(i.ImageId), Arch: ArchName(string(i.Architecture)), Spot: aws.ToString(i.SpotInstanceRequestId),
	}
	if i.State != nil {
		m.State = i.State.Name
	}
	if i.StateReason != nil {
		m.Why = aws.ToString(i.StateReason.Message)
	}
	if i.Placement != nil {
		m.Zone = aws.ToString(i.Placement.AvailabilityZone)
	}
	for _, t := range i.Tags {
		v := aws.ToString(t.Value)
		switch aws.ToString(t.Key) {
		case TagInstance:
			m.ID = compute.ID(v)
		case TagUser:
			m.User = v
		case TagHostKey:
			m.HostKey = v
		}
	}
	return m
}

// ArchName returns Go's name of an architecture.
func ArchName(s string) string {
	if s == "x86_64" {
		return "amd64"
	}
	return s
}

// Off returns an error that says why an instance does not run.
func (m Machine) Off() error {
	if m.Why != "" {
		return fmt.Errorf("it is %s: %s", m.State, m.Why)
	}
	return fmt.Errorf("it is %s", m.State)
}

// Filter returns a filter for EC2's lists.
func Filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

// Existing matches the states of instances that have not ended.
var Existing = Filter("instance-state-name", "pending", "running", "shutting-down", "stopping", "stopped")

// Tag returns a tag for EC2.
func Tag(key, value string) types.Tag {
	return types.Tag{Key: aws.String(key), Value: aws.String(value)}
}

// Describe lists the instances that match the filters.
func (s *Session) Describe(ctx context.Context, filters ...types.Filter) (out []Machine, err error) {
	c, err := s.API(ctx)
	if err != nil {
		return nil, err
	}
	for i, err := range c.Instances.All(ctx, filters...) {
		if err != nil {
			return nil, err
		}
		out = append(out, MachineOf(i))
	}
	return out, nil
}

// Terminate terminates instances. It first cancels spot requests that would replace them.
func (s *Session) Terminate(ctx context.Context, ids []string, all []Machine) error {
	c, err := s.API(ctx)
	if err != nil {
		return err
	}
	var requests []string
	for _, m := range all {
		if m.Spot != "" {
			requests = append(requests, m.Spot)
		}
	}
	if len(requests) > 0 {
		_, err := c.Spot.Cancel(ctx, &ec2.CancelSpotInstanceRequestsInput{SpotInstanceRequestIds: requests})
		if err != nil && Why(err) != Missing {
			return err
		}
		if err := s.At("terminate instance"); err != nil {
			return err
		}
	}
	_, err = c.Instances.Terminate(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
	return err
}

// Sweep deletes the volumes that an instance of a source of this installation left when it ended.
func (s *Session) Sweep(ctx context.Context, source string, id compute.ID) error {
	c, err := s.API(ctx)
	if err != nil {
		return err
	}
	for v, err := range c.Volumes.All(
		ctx, Filter("tag:"+TagInstallation, s.Installation), Filter("tag:"+TagSource, source),
		Filter("tag:"+TagInstance, string(id)), Filter("status", string(types.VolumeStateAvailable)),
	) {
		if err != nil {
			return err
		}
		if err := s.At("delete volume"); err != nil {
			return err
		}
		if _, err := c.Volumes.Delete(ctx, &ec2.DeleteVolumeInput{VolumeId: v.VolumeId}); err != nil && Why(err) != Missing {
			return err
		}
	}
	return nil
}
