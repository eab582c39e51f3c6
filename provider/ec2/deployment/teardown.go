package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// together is how many instances one call terminates. EC2 allows a thousand.
const together = 500

// Thing is a part of a deployment.
type Thing struct {
	Kind string // instance, volume, security group or key pair
	Name string
	ID   string // EC2's
}

func (t Thing) String() string { return t.Kind + " " + t.Name }

// Teardown deletes what carries the marks of this installation and of a deployment: the instances,
// the volumes that they left, the security group and the key pair. Then it looks again. Missing
// things are no error. After a failure it tries the rest. deleted is what was deleted, or in a dry
// run, would be. kept is the instance that this process runs on, with its security groups, for a
// teardown from elsewhere. ErrNotFound: there was nothing to delete.
func (p *Place) Teardown(ctx context.Context, deployment string, dryRun bool) (deleted, kept []Thing, err error) {
	deleted, kept, err = p.teardown(ctx, deployment, dryRun)
	return deleted, kept, session.Wrap(ctx, "Teardown", compute.ID(deployment), err)
}

// teardown deletes in rounds, as some things go only after others. It gives up when only denials
// are left, or after settle.
func (p *Place) teardown(ctx context.Context, deployment string, dryRun bool) (deleted, kept []Thing, err error) {
	own := ""
	if s, err := p.self(ctx); err != nil {
		return nil, nil, err
	} else if s != nil {
		own = s.ID
	}
	all, kept, err := p.inventory(ctx, deployment, own)
	if err != nil {
		return nil, nil, err
	}
	if len(all) == 0 {
		return nil, kept, &compute.Error{
			ID: compute.ID(deployment), Kind: compute.ErrNotFound,
			Err: errors.New("nothing carries the mark of this deployment"),
		}
	}
	if dryRun {
		return all, kept, nil
	}
	gone := map[string]bool{}
	var last []error
	for end := time.Now().Add(settle); ; {
		last = nil
		waiting := false // for something that may pass
		ended := p.endAll(ctx, all)
		for _, t := range all {
			if ended && t.Kind == "instance" {
				err = nil
			} else {
				err = p.remove(ctx, t)
			}
			if err != nil && session.Why(err) != session.Missing {
				last = append(last, fmt.Errorf("%s %s: %w", t, t.ID, err))
				waiting = waiting || session.Why(err) != session.Denied
				continue
			}
			if waiting = true; !gone[t.ID] {
				gone[t.ID] = true
				deleted = append(deleted, t)
			}
		}
		left, _, err := p.inventory(ctx, deployment, own)
		if err != nil {
			return deleted, kept, err
		}
		if len(left) == 0 {
			return deleted, kept, nil
		}
		all = left
		if !waiting || time.Now().After(end) {
			return deleted, kept, stuck(deployment, left, last)
		}
		if err := session.Pause(ctx, p.session.Poll); err != nil {
			return deleted, kept, errors.Join(append(last, err)...)
		}
	}
}

// stuck returns the error that says what could not be deleted, and why.
func stuck(deployment string, left []Thing, errs []error) error {
	kind, hint := compute.ErrTimeout, "the same again goes on"
	if len(errs) > 0 {
		kind, hint = session.Kinds[session.Why(errs[0])], session.Hints[session.Why(errs[0])]
	}
	return &compute.Error{
		Op: "ec2.Teardown", ID: compute.ID(deployment), Kind: kind,
		Err: errors.Join(append(errs, fmt.Errorf("%d are left: %v", len(left), left))...), Hint: hint,
	}
}

// endAll terminates all instances among things in one call, and reports whether that was accepted.
// Otherwise the caller terminates them one by one: one that is protected or gone makes the whole
// call fail.
func (p *Place) endAll(ctx context.Context, all []Thing) bool {
	var ids []string
	for _, t := range all {
		if t.Kind == "instance" {
			ids = append(ids, t.ID)
		}
	}
	if len(ids) < 2 {
		return false
	}
	c, err := p.session.API(ctx)
	if err != nil {
		return false
	}
	for some := range slices.Chunk(ids, together) {
		if _, err := c.Instances.Terminate(ctx, &ec2.TerminateInstancesInput{InstanceIds: some}); err != nil {
			return false
		}
	}
	return true
}

// remove requests the end of a thing.
func (p *Place) remove(ctx context.Context, t Thing) error {
	c, err := p.session.API(ctx)
	if err != nil {
		return err
	}
	switch t.Kind {
	case "instance":
		_, err = c.Instances.Terminate(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{t.ID}})
	case "volume":
		_, err = c.Volumes.Delete(ctx, &ec2.DeleteVolumeInput{VolumeId: aws.String(t.ID)})
	case "security group":
		_, err = c.Groups.Delete(ctx, &ec2.DeleteSecurityGroupInput{GroupId: aws.String(t.ID)})
	case "key pair":
		_, err = c.Keys.Delete(ctx, &ec2.DeleteKeyPairInput{KeyPairId: aws.String(t.ID)})
	}
	return err
}

// inventory returns what carries a deployment's mark and has not ended, in the order of deletion.
// kept is what stays with the instance own that this process runs on. own is "" if there is none.
func (p *Place) inventory(ctx context.Context, deployment, own string) (all, kept []Thing, err error) {
	c, err := p.session.API(ctx)
	if err != nil {
		return nil, nil, err
	}
	var groupsOfOwn []string
	ours := []types.Filter{
		session.Filter("tag:"+session.TagInstallation, p.session.Installation), session.Filter("tag:"+session.TagDeployment, deployment),
	}
	for i, err := range c.Instances.All(ctx, ours...) {
		if err != nil {
			return nil, nil, err
		}
		m := session.MachineOf(i)
		switch thing := (Thing{"instance", string(m.ID), m.Instance}); {
		case m.State == types.InstanceStateNameTerminated:
		case m.Instance == own:
			kept = append(kept, thing)
			for _, g := range i.SecurityGroups {
				groupsOfOwn = append(groupsOfOwn, aws.ToString(g.GroupId))
			}
		default:
			all = append(all, thing)
		}
	}
	for v, err := range c.Volumes.All(ctx, ours...) {
		if err != nil {
			return nil, nil, err
		}
		// a volume in use goes with its instance or later
		if v.State == types.VolumeStateAvailable || v.State == types.VolumeStateError {
			all = append(all, Thing{"volume", aws.ToString(v.VolumeId), aws.ToString(v.VolumeId)})
		}
	}
	groups, err := p.groups(ctx, ours...)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range groups {
		thing := Thing{"security group", aws.ToString(g.GroupName), aws.ToString(g.GroupId)}
		if slices.Contains(groupsOfOwn, thing.ID) {
			kept = append(kept, thing)
		} else {
			all = append(all, thing)
		}
	}
	keys, err := c.Keys.Describe(ctx, &ec2.DescribeKeyPairsInput{Filters: ours})
	if err != nil {
		return nil, nil, err
	}
	for _, k := range keys.KeyPairs {
		all = append(all, Thing{"key pair", aws.ToString(k.KeyName), aws.ToString(k.KeyPairId)})
	}
	return all, kept, nil
}
