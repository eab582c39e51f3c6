package ec2

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// Provider makes instances of EC2.
type Provider struct {
	o        Options
	log      *slog.Logger
	match    *regexp.Regexp
	sets     [][]string         // classes of hardware; none: any
	onDemand map[string]float64 // prices that are configured
	ceiling  float64            // of a spot instance for an hour; 0: there is none
	parting  string             // what an instance does before an image is made of it
	// told of each step before it is done; an error ends the call as a kill would. nil but in tests
	step func(string) error

	mu     sync.Mutex
	client *calls
	region string // that the client asks

	credentials aws.CredentialsProvider
	secret      []byte // that keys are made of; nil: not read yet
	last        *listing
	reading     chan struct{} // closed when the listing that is being read is there; nil: none is
	sizes       sizes
	images      map[string]image
	prices      prices
	poor        flavor.Memory // in which spots there was no capacity lately

	asking chan struct{} // one slot: who has it reads health, or looks at it
	health *health
}

var (
	_ compute.Provider = (*Provider)(nil)
	_ compute.Lingerer = (*Provider)(nil)
)

// name is what an instance may be called: what a tag may hold, and means the same everywhere.
var name = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 +=._:/@-]{0,200}$`) })

// Open returns the provider for one source. Nothing is asked of anybody. ErrInvalid: the options
// are wrong.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	p := &Provider{
		o: o, log: log, onDemand: map[string]float64{}, images: map[string]image{}, asking: make(chan struct{}, 1),
		parting: parting,
	}
	err := p.understand()
	if err == nil && (o.Source == "" || o.Installation == "" || o.Dir == "") {
		err = errors.New("a source needs a name, an installation and a directory")
	}
	if err != nil {
		return nil, &compute.Error{Op: "ec2.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: err, Hint: compute.Hint(err)}
	}
	return p, nil
}

// at says that a step begins.
func (p *Provider) at(step string) error {
	if p.step == nil {
		return nil
	}
	return p.step(step)
}

// Lingers is how long a request to launch may be on its way, and what it made not be listed.
func (p *Provider) Lingers() time.Duration {
	return time.Duration(cmp.Or(p.o.Attempts, 5))*answerWithin + visibleWithin
}

// List returns this installation's instances of this source, those that are shut down included.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	l, err := p.look(ctx, time.Now())
	if err != nil {
		return nil, fault(ctx, "List", compute.ID(p.o.Source), err)
	}
	var out []compute.Instance
	for _, id := range l.order {
		out = append(out, p.instanceOf(ctx, l.all[id][0]))
		p.single(ctx, l.all[id])
	}
	return out, nil
}

// single ends what was made twice.
func (p *Provider) single(ctx context.Context, same []machine) {
	var more []string
	for _, m := range same[1:] {
		if ending(m) == 0 {
			more = append(more, m.instance)
		}
	}
	if len(more) == 0 {
		return
	}
	p.log.Warn(
		"terminating an instance that was made twice", "instance", same[0].id, "source", p.o.Source, "kept",
		same[0].instance, "terminated", strings.Join(more, " "),
	)
	if err := p.terminate(ctx, more, same[1:]); err != nil {
		p.log.Warn("terminate", "instance", same[0].id, "source", p.o.Source, "err", err)
	}
}

// find returns the instance of a name, from a listing that was begun at a time or later; one that
// is not in an older listing is looked for anew.
func (p *Provider) find(ctx context.Context, id compute.ID, since time.Time) (machine, error) {
	same, err := p.findAll(ctx, id, since)
	if err != nil {
		return machine{}, err
	}
	return same[0], nil
}

// findAll is find with those that should not be.
func (p *Provider) findAll(ctx context.Context, id compute.ID, since time.Time) ([]machine, error) {
	if !name().MatchString(string(id)) {
		return nil, &compute.Error{ID: id, Kind: compute.ErrNotFound, Err: errors.New("not a name that an instance may have")}
	}
	now := time.Now()
	for {
		l, err := p.look(ctx, since)
		if err != nil {
			return nil, err
		}
		if same := l.all[id]; same != nil {
			return same, nil
		}
		if !l.began.Before(now) {
			return nil, &compute.Error{ID: id, Kind: compute.ErrNotFound, Err: errors.New("no instance of this source has this name")}
		}
		since = now
	}
}

// Destroy terminates an instance, at once. When there is none any more, a volume that it left goes
// too.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	return fault(ctx, "Destroy", id, p.destroy(ctx, id))
}

func (p *Provider) destroy(ctx context.Context, id compute.ID) error {
	same, err := p.findAll(ctx, id, time.Now())
	if errors.Is(err, compute.ErrNotFound) && name().MatchString(string(id)) {
		// That it is gone is believed only of who was asked for it alone: of a long list a page may
		// have been another's.
		none := err
		if same, err = p.named(ctx, id); err == nil && len(same) == 0 {
			if err := p.sweep(ctx, id); err != nil {
				return err
			}
			return none
		}
	}
	if err != nil {
		return err
	}
	var living []string
	for _, m := range same {
		if ending(m) == 0 {
			living = append(living, m.instance)
		}
	}
	if len(living) == 0 {
		return nil
	}
	if err := p.at("terminate"); err != nil {
		return err
	}
	err = p.terminate(ctx, living, same)
	if why(err) == Missing { // listed, and not found: ask again
		return nil
	}
	return err
}

// why is the reason of an error of the SDK.
func why(err error) Reason {
	if err == nil {
		return ""
	}
	if f := faultOf(err); f != nil {
		return f.Reason
	}
	return Unknown
}

// terminate ends instances. A request for spot instances that would make others in their place goes
// first.
func (p *Provider) terminate(ctx context.Context, ids []string, all []machine) error {
	c, err := p.api(ctx)
	if err != nil {
		return err
	}
	var requests []string
	for _, m := range all {
		if m.spot != "" {
			requests = append(requests, m.spot)
		}
	}
	if len(requests) > 0 {
		_, err := c.cancelSpotInstanceRequests(ctx, &ec2.CancelSpotInstanceRequestsInput{SpotInstanceRequestIds: requests})
		if err != nil && why(err) != Missing {
			return err
		}
		if err := p.at("terminate instance"); err != nil {
			return err
		}
	}
	_, err = c.terminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: ids})
	return err
}

// sweep deletes what an instance that is gone left: volumes that do not go with it.
func (p *Provider) sweep(ctx context.Context, id compute.ID) error {
	p.forgetHost(id)
	return p.sweepOf(ctx, p.o.Source, id)
}

// sweepOf is sweep for an instance of any source of the installation's.
func (p *Provider) sweepOf(ctx context.Context, source string, id compute.ID) error {
	c, err := p.api(ctx)
	if err != nil {
		return err
	}
	of := []types.Filter{
		filter("tag:"+tagInstallation, p.o.Installation), filter("tag:"+tagSource, source),
		filter("tag:"+tagInstance, string(id)), filter("status", string(types.VolumeStateAvailable)),
	}
	pages := ec2.NewDescribeVolumesPaginator(describeVolumesPages(c.describeVolumes), &ec2.DescribeVolumesInput{Filters: of})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, v := range page.Volumes {
			if err := p.at("delete volume"); err != nil {
				return err
			}
			_, err := c.deleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: v.VolumeId})
			if err != nil && why(err) != Missing {
				return err
			}
		}
	}
	return nil
}
