package ec2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
)

// Thing is something of a deployment's.
type Thing struct {
	Kind string // instance, volume, security group or key pair
	Name string
	ID   string // EC2's
}

func (t Thing) String() string { return t.Kind + " " + t.Name }

// Teardown deletes what carries the marks of this installation and of a deployment: instances first, then the volumes that they left, the security group and the key pair; and at the
// end asks what is left. What is gone already is fine, and what fails does not keep the rest from being tried. It returns what was deleted, with dryRun what would be.
// ErrNotFound: there was nothing.
func (p *Provider) Teardown(ctx context.Context, deployment string, dryRun bool) (deleted []Thing, err error) {
	deleted, err = p.teardown(ctx, deployment, dryRun)
	return deleted, fault(ctx, "Teardown", compute.ID(deployment), err)
}

func (p *Provider) teardown(ctx context.Context, deployment string, dryRun bool) (deleted []Thing, err error) {
	all, err := p.inventory(ctx, deployment)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, &compute.Error{ID: compute.ID(deployment), Kind: compute.ErrNotFound, Err: errors.New("nothing carries the mark of this deployment")}
	}
	if dryRun {
		return all, nil
	}
	gone := map[string]bool{}
	var last []error
	for end := time.Now().Add(settle); ; {
		last = nil
		waiting := false // for something that may come right
		for _, t := range all {
			if err := p.remove(ctx, t); err != nil && why(err) != Missing {
				last = append(last, fmt.Errorf("%s %s: %w", t, t.ID, err))
				waiting = waiting || why(err) != Denied
				continue
			}
			if waiting = true; !gone[t.ID] {
				gone[t.ID] = true
				deleted = append(deleted, t)
			}
		}
		left, err := p.inventory(ctx, deployment)
		if err != nil {
			return deleted, err
		}
		if len(left) == 0 {
			return deleted, nil
		}
		all = left
		if !waiting || time.Now().After(end) {
			return deleted, stuck(deployment, left, last)
		}
		if err := pause(ctx, p.o.Poll); err != nil {
			return deleted, errors.Join(append(last, err)...)
		}
	}
}

// stuck says what could not be deleted, and why.
func stuck(deployment string, left []Thing, errs []error) error {
	kind, hint := compute.ErrTimeout, "the same again goes on"
	if len(errs) > 0 {
		kind, hint = kinds[why(errs[0])], hints[why(errs[0])]
	}
	return &compute.Error{Op: "ec2.Teardown", ID: compute.ID(deployment), Kind: kind, Err: errors.Join(append(errs, fmt.Errorf("%d are left: %v", len(left), left))...), Hint: hint}
}

// remove asks for the end of a thing.
func (p *Provider) remove(ctx context.Context, t Thing) error {
	c, err := p.api(ctx)
	if err != nil {
		return err
	}
	switch t.Kind {
	case "instance":
		_, err = c.terminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{t.ID}})
	case "volume":
		_, err = c.deleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: aws.String(t.ID)})
	case "security group":
		_, err = c.deleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(t.ID)})
	case "key pair":
		_, err = c.deleteKeyPair(ctx, &ec2.DeleteKeyPairInput{KeyPairId: aws.String(t.ID)})
	}
	return err
}

// inventory is what carries a deployment's mark and has not ended, in the order in which it can go.
func (p *Provider) inventory(ctx context.Context, deployment string) (all []Thing, err error) {
	c, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	ours := []types.Filter{filter("tag:"+tagInstallation, p.o.Installation), filter("tag:"+tagDeployment, deployment)}
	instances := ec2.NewDescribeInstancesPaginator(describeInstancesPages(c.describeInstances), &ec2.DescribeInstancesInput{Filters: ours})
	for instances.HasMorePages() {
		page, err := instances.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				if m := machineOf(i); m.state != types.InstanceStateNameTerminated {
					all = append(all, Thing{"instance", string(m.id), m.instance})
				}
			}
		}
	}
	volumes := ec2.NewDescribeVolumesPaginator(describeVolumesPages(c.describeVolumes), &ec2.DescribeVolumesInput{Filters: ours})
	for volumes.HasMorePages() {
		page, err := volumes.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, v := range page.Volumes {
			if v.State == types.VolumeStateAvailable || v.State == types.VolumeStateError { // one in use goes with its instance, or afterwards
				all = append(all, Thing{"volume", aws.ToString(v.VolumeId), aws.ToString(v.VolumeId)})
			}
		}
	}
	groups, err := p.groups(ctx, ours...)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		all = append(all, Thing{"security group", aws.ToString(g.GroupName), aws.ToString(g.GroupId)})
	}
	keys, err := c.describeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{Filters: ours})
	if err != nil {
		return nil, err
	}
	for _, k := range keys.KeyPairs {
		all = append(all, Thing{"key pair", aws.ToString(k.KeyName), aws.ToString(k.KeyPairId)})
	}
	return all, nil
}
