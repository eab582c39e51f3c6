package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

var (
	_ provider.Chooser = (*Provider)(nil)
	_ provider.Prober  = (*Provider)(nil)
)

// Choices lists the account's own images, the types of instances, and the zones, or the subnets
// that the source names. Any other id or name of an image may be tried too.
func (p *Provider) Choices(ctx context.Context, kind string) (all []provider.Named, open bool, err error) {
	all, open, err = p.choices(ctx, kind)
	return all, open, session.Wrap(ctx, "Choices", compute.ID(p.o.Source), err)
}

// choices is Choices without the wrapping of errors.
func (p *Provider) choices(ctx context.Context, kind string) (all []provider.Named, open bool, err error) {
	switch kind {
	case provider.Images:
		own, err := p.images.describe(
			ctx,
			&ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{session.Filter("state", "available")}},
		)
		if err != nil {
			return nil, true, err
		}
		slices.Reverse(own) // the newest come last
		for _, i := range own {
			all = append(all, provider.Named{ID: i.id, Name: i.name})
		}
		return all, true, nil
	case provider.Flavors:
		sizes, err := p.types.all(ctx, false)
		if err != nil {
			return nil, false, err
		}
		for _, s := range sizes {
			all = append(all, provider.Named{ID: s.Name, Name: s.Name})
		}
		return all, false, nil
	case provider.Locations:
		if len(p.o.Subnets) > 0 {
			for _, s := range p.o.Subnets {
				all = append(all, provider.Named{ID: s, Name: s})
			}
			return all, false, nil
		}
		c, err := p.session.API(ctx)
		if err != nil {
			return nil, false, err
		}
		out, err := c.Region.Zones(ctx, &ec2.DescribeAvailabilityZonesInput{})
		if err != nil {
			return nil, false, err
		}
		for _, z := range out.AvailabilityZones {
			if len(p.o.Zones) == 0 || slices.Contains(p.o.Zones, aws.ToString(z.ZoneName)) {
				all = append(all, provider.Named{ID: aws.ToString(z.ZoneName), Name: aws.ToString(z.ZoneName)})
			}
		}
		return all, false, nil
	}
	return nil, false, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("there are no %s to choose from", kind)}
}

// Probe asks EC2 whether it would launch an instance. EC2 checks credentials, image, type, network
// and quota, but not capacity. Nothing is made.
func (p *Provider) Probe(ctx context.Context, spec compute.Spec) (note string, err error) {
	note, err = p.probe(ctx, spec)
	return note, session.Wrap(ctx, "Probe", compute.ID(p.o.Source), err)
}

// probe makes a dry run in one place after the other, until EC2 would launch there.
func (p *Provider) probe(ctx context.Context, spec compute.Spec) (string, error) {
	spec.ID = compute.ID(cmp.Or(string(spec.ID), p.o.Source+"-probe"))
	in, img, err := p.launcher.request(ctx, spec)
	if err != nil {
		return "", err
	}
	places, err := p.launcher.spots(ctx, spec, img)
	if err != nil {
		return "", err
	}
	c, err := p.session.API(ctx)
	if err != nil {
		return "", err
	}
	in.DryRun = aws.Bool(true)
	for i, s := range places {
		_, err = p.launcher.launchAt(ctx, c, spec, *in, s)
		f := session.FaultOf(cmp.Or(err, errors.New("a trial launched something")))
		switch {
		case f != nil && f.Code == "DryRunOperation" && i == 0:
			return fmt.Sprintf("%s (%s), %s", img.name, img.id, s), nil
		case f != nil && f.Code == "DryRunOperation":
			return fmt.Sprintf("%s (%s), %s; before that come %d places that do not do", img.name, img.id, s, i), nil
		case f == nil || f.Reason != session.Unsupported && f.Reason != session.NoHardware && f.Reason != session.Quota:
			return "", err
		}
	}
	return "", err
}
