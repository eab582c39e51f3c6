package ec2

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
)

// Server is an instance of this installation, of whatever source.
type Server struct {
	ID         string // EC2's
	Instance   compute.ID
	Source     string
	Deployment string // "": of none
	State      string // EC2's word
	Addresses  []string
	Type       string
	Zone       string
	Launched   time.Time
	Problem    string // why it seems to be dead, or about to be; "": it does not
}

// Servers lists the installation's instances in the region that have not ended, oldest first.
// deployment: only those of one; "": of all, and of none.
func (p *Provider) Servers(ctx context.Context, deployment string) ([]Server, error) {
	out, err := p.servers(ctx, deployment)
	return out, fault(ctx, "Servers", compute.ID(deployment), err)
}

func (p *Provider) servers(ctx context.Context, deployment string) (out []Server, err error) {
	c, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	filters := []types.Filter{filter("tag:"+tagInstallation, p.o.Installation), existing}
	if deployment != "" {
		filters = append(filters, filter("tag:"+tagDeployment, deployment))
	}
	var running []string
	pages := ec2.NewDescribeInstancesPaginator(
		describeInstancesPages(c.describeInstances),
		&ec2.DescribeInstancesInput{Filters: filters, MaxResults: aws.Int32(1000)},
	)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				s := serverOf(i)
				if s.State == string(types.InstanceStateNameRunning) {
					running = append(running, s.ID)
				}
				out = append(out, s)
			}
		}
	}
	bad, err := p.impaired(ctx, c, running)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Problem = cmp.Or(out[i].Problem, bad[out[i].ID])
	}
	slices.SortFunc(out, func(a, b Server) int { return cmp.Or(a.Launched.Compare(b.Launched), strings.Compare(a.ID, b.ID)) })
	return out, nil
}

func serverOf(i types.Instance) Server {
	m := machineOf(i)
	s := Server{ID: m.instance, Instance: m.id, State: string(m.state), Type: m.typ, Zone: m.zone, Launched: m.launched}
	for _, t := range i.Tags {
		switch aws.ToString(t.Key) {
		case tagSource:
			s.Source = aws.ToString(t.Value)
		case tagDeployment:
			s.Deployment = aws.ToString(t.Value)
		}
	}
	for _, a := range []string{m.public, m.private} {
		if a != "" && !slices.Contains(s.Addresses, a) {
			s.Addresses = append(s.Addresses, a)
		}
	}
	return s
}

// DestroyServer terminates an instance, whatever its state, waits until it has ended, and deletes
// the volumes that it left. One that has ended is no error. ErrDenied: another installation made
// it, or nobody did.
func (p *Provider) DestroyServer(ctx context.Context, instance string) error {
	return fault(ctx, "DestroyServer", compute.ID(instance), p.destroyServer(ctx, instance))
}

func (p *Provider) destroyServer(ctx context.Context, instance string) error {
	c, err := p.api(ctx)
	if err != nil {
		return err
	}
	var s Server
	for asked := false; ; asked = true {
		out, err := c.describeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{instance}})
		if why(err) == Missing {
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
			return aws.ToString(t.Key) == tagInstallation && aws.ToString(t.Value) == p.o.Installation
		}) {
			return &compute.Error{
				ID: compute.ID(instance), Kind: compute.ErrDenied,
				Err: errors.New("hostler did not make it, or another installation did"),
			}
		}
		s = serverOf(found[0])
		m := machineOf(found[0])
		if m.state == types.InstanceStateNameTerminated {
			break
		}
		if !asked {
			if err := p.terminate(ctx, []string{instance}, []machine{m}); err != nil && why(err) != Missing {
				return err
			}
		}
		if err := pause(ctx, p.o.Poll); err != nil {
			return &compute.Error{
				ID: s.Instance, Kind: compute.ErrTimeout,
				Err:  fmt.Errorf("it is asked to end, and is %s: %w", m.state, err),
				Hint: "the same command goes on where this one stopped",
			}
		}
	}
	if s.Instance == "" || s.Source == "" {
		return nil // what belongs to it cannot be told
	}
	return p.sweepOf(ctx, s.Source, s.Instance)
}

// Image is one that an instance can be made from.
type Image struct {
	ID      string
	Name    string
	Owner   string // an account
	Arch    string // as Go has it
	Public  bool
	Size    int64 // of its root volume, bytes
	Created time.Time
}

// Images lists those that can be launched, the newest first: the account's own, or with a prefix
// those whose names begin so, of the owners that the options name.
func (p *Provider) Images(ctx context.Context, prefix string) ([]Image, error) {
	in := &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{filter("state", "available")}}
	switch {
	case strings.HasPrefix(prefix, "ami-"):
		in = &ec2.DescribeImagesInput{ImageIds: []string{prefix}}
	case prefix != "":
		in.Owners, in.Filters = p.owners(), append(in.Filters, filter("name", strings.TrimSuffix(prefix, "*")+"*"))
	}
	all, err := p.describeImages(ctx, in)
	if err == nil && len(all) == 0 && prefix != "" {
		err = &compute.Error{
			ID: compute.ID(prefix), Kind: compute.ErrNotFound,
			Err: fmt.Errorf("no image whose name begins so is there for %s", strings.Join(p.owners(), ", ")),
		}
	}
	if err != nil {
		return nil, fault(ctx, "Images", compute.ID(prefix), err)
	}
	var out []Image
	for _, i := range all {
		created, _ := time.Parse(time.RFC3339, i.created) // zero: it is not told
		out = append(
			out,
			Image{ID: i.id, Name: i.name, Owner: i.owner, Arch: archName(i.arch), Public: i.public, Size: i.size << 30, Created: created},
		)
	}
	return out, nil
}
