package ec2

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
)

// The tags of all that we make.
const (
	tagInstallation = "hostler:installation"
	tagSource       = "hostler:source"
	tagInstance     = "hostler:instance"
	tagDeployment   = "hostler:deployment"
	tagUser         = "hostler:user"     // who logs in
	tagHostKey      = "hostler:host-key" // how the host's key is known: user-data or console
	tagImage        = "hostler:image"    // of an image: the name that it was given
)

// machine is an instance as EC2 tells of it.
type machine struct {
	id       compute.ID
	instance string // EC2's id
	state    types.InstanceStateName
	why      string // it is not running
	public   string // addresses
	private  string
	launched time.Time // or last started
	typ      string
	zone     string
	image    string
	arch     string
	spot     string // its request; "": on demand
	user     string
	hostKey  string
}

func machineOf(i types.Instance) machine {
	m := machine{
		instance: aws.ToString(i.InstanceId), public: aws.ToString(i.PublicIpAddress),
		private: aws.ToString(i.PrivateIpAddress), launched: aws.ToTime(i.LaunchTime), typ: string(i.InstanceType),
		image: aws.ToString(i.ImageId), arch: archName(string(i.Architecture)), spot: aws.ToString(i.SpotInstanceRequestId),
	}
	if i.State != nil {
		m.state = i.State.Name
	}
	if i.StateReason != nil {
		m.why = aws.ToString(i.StateReason.Message)
	}
	if i.Placement != nil {
		m.zone = aws.ToString(i.Placement.AvailabilityZone)
	}
	for _, t := range i.Tags {
		v := aws.ToString(t.Value)
		switch aws.ToString(t.Key) {
		case tagInstance:
			m.id = compute.ID(v)
		case tagUser:
			m.user = v
		case tagHostKey:
			m.hostKey = v
		}
	}
	return m
}

// archName is an architecture's name as Go has it.
func archName(s string) string {
	if s == "x86_64" {
		return "amd64"
	}
	return s
}

// address is where ssh goes.
func (p *Provider) address(m machine) string {
	switch p.o.Address {
	case "public":
		return m.public
	case "private":
		return m.private
	}
	return cmp.Or(m.public, m.private)
}

func (p *Provider) instanceOf(ctx context.Context, m machine) compute.Instance {
	facts := map[string]string{"os": "linux", "arch": m.arch, "type": m.typ, "zone": m.zone, "image": m.image}
	if m.spot != "" {
		facts["market"] = "spot"
	}
	if t, ok := p.knownType(m.typ); ok {
		facts["cores"], facts["memory"] = strconv.Itoa(t.Cores), strconv.FormatInt(int64(t.RAM)<<20, 10)
	}
	if price, ok := p.onDemand[m.typ]; ok && m.spot == "" {
		facts[compute.FactPrice] = strconv.FormatFloat(price, 'g', -1, 64)
	}
	return compute.Instance{ID: m.id, Source: p.o.Source, ProviderID: m.instance, Address: p.address(m), Facts: facts}
}

// listing is what was there at a time.
type listing struct {
	began time.Time
	all   map[compute.ID][]machine // the one that counts first; behind it those that should not be
	order []compute.ID
}

// look returns a listing that was begun at a time or later. Who asks while somebody reads one that
// will do waits for that.
func (p *Provider) look(ctx context.Context, since time.Time) (*listing, error) {
	for {
		p.mu.Lock()
		if l := p.last; l != nil && !l.began.Before(since) {
			p.mu.Unlock()
			return l, nil
		}
		reading := p.reading
		if reading == nil {
			reading = make(chan struct{})
			p.reading = reading
			p.mu.Unlock()
			l, err := p.read(ctx)
			p.mu.Lock()
			if p.reading = nil; err == nil {
				p.last = l
			}
			p.mu.Unlock()
			close(reading)
			return l, err
		}
		p.mu.Unlock()
		select {
		case <-reading: // when it failed, or began too early, the next one reads for itself
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ours are the filters for what is this source's.
func (p *Provider) ours(more ...types.Filter) []types.Filter {
	return append([]types.Filter{filter("tag:"+tagInstallation, p.o.Installation), filter("tag:"+tagSource, p.o.Source)}, more...)
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

// existing are the states of what is there.
var existing = filter("instance-state-name", "pending", "running", "shutting-down", "stopping", "stopped")

// read asks what there is.
func (p *Provider) read(ctx context.Context) (*listing, error) {
	l := &listing{began: time.Now(), all: map[compute.ID][]machine{}}
	found, err := p.describe(ctx, p.ours(existing))
	if err != nil {
		return nil, err
	}
	for _, m := range found {
		if m.id == "" {
			continue // somebody took the tag away: it is nobody's
		}
		if l.all[m.id] == nil {
			l.order = append(l.order, m.id)
		}
		l.all[m.id] = append(l.all[m.id], m)
	}
	for _, same := range l.all {
		slices.SortFunc(same, older)
	}
	return l, nil
}

// named asks for the instances of one name.
func (p *Provider) named(ctx context.Context, id compute.ID) ([]machine, error) {
	same, err := p.describe(ctx, p.ours(existing, filter("tag:"+tagInstance, string(id))))
	slices.SortFunc(same, older)
	return same, err
}

// describe asks for the instances that fit.
func (p *Provider) describe(ctx context.Context, filters []types.Filter) (out []machine, err error) {
	c, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
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
				out = append(out, machineOf(i))
			}
		}
	}
	return out, nil
}

// older sorts those of one name: what lives first, and of these the one that was there first.
func older(a, b machine) int {
	return cmp.Or(ending(a)-ending(b), a.launched.Compare(b.launched), cmp.Compare(a.instance, b.instance))
}

// ending sorts what is on its way out behind what lives.
func ending(m machine) int {
	if m.state == types.InstanceStateNameShuttingDown {
		return 1
	}
	return 0
}
