package ec2

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/hostler-project/hostler/compute"
)

// Self is the instance of this account and region that this process runs on, as its metadata
// service says, whoever made it; nil: it runs elsewhere.
func (p *Provider) Self(ctx context.Context) (*Server, error) {
	s, err := p.self(ctx)
	return s, fault(ctx, "Self", compute.ID(p.o.Source), err)
}

func (p *Provider) self(ctx context.Context) (*Server, error) {
	c, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	id := p.ownID(ctx)
	if id == "" {
		return nil, ctx.Err()
	}
	out, err := c.describeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if why(err) == Missing {
		return nil, nil // it is of another account or region, or of another cloud
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

// ownID asks the metadata service which instance this machine is; "": none answers.
func (p *Provider) ownID(ctx context.Context) string {
	if p.o.Metadata == "none" {
		return ""
	}
	const wait = time.Second
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	o := imds.Options{HTTPClient: web, Retryer: aws.NopRetryer{}, Endpoint: p.o.Metadata}
	if p.o.Metadata != "" {
		o.ClientEnableState = imds.ClientEnabled
	}
	out, err := imds.New(o).GetInstanceIdentityDocument(ctx, &imds.GetInstanceIdentityDocumentInput{})
	if err != nil {
		p.log.Debug("no metadata service says that this is an instance of EC2", "source", p.o.Source, "err", err)
		return ""
	}
	return out.InstanceID
}
