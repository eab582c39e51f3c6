package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"strconv"
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
	step     func(string) error // told of each step before it is done; an error ends the call as a kill would. nil but in tests

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

// Open returns the provider for one source. Nothing is asked of anybody. ErrInvalid: the options are wrong.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	fail := func(hint, text string, args ...any) (*Provider, error) {
		return nil, &compute.Error{Op: "ec2.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: fmt.Errorf(text, args...), Hint: hint}
	}
	o.Spot, o.HostKey, o.StopBy = cmp.Or(o.Spot, "no"), cmp.Or(o.HostKey, "user-data"), cmp.Or(o.StopBy, "stop")
	o.Order = cmp.Or(o.Order, string(flavor.Cheapest))
	o.Port, o.Poll = cmp.Or(o.Port, 22), cmp.Or(o.Poll, 2*time.Second)
	p := &Provider{o: o, log: log, onDemand: map[string]float64{}, images: map[string]image{}, asking: make(chan struct{}, 1), parting: parting}
	for key, is := range map[string]struct {
		value string
		one   []string
	}{
		"spot": {o.Spot, []string{"no", "yes", "first"}}, "host-key": {o.HostKey, []string{"user-data", "console"}}, "stop": {o.StopBy, []string{"stop", "hibernate"}},
		"flavor-order": {o.Order, []string{string(flavor.Cheapest), string(flavor.Listed)}}, "public-ip": {o.PublicIP, []string{"", "yes", "no"}}, "address": {o.Address, []string{"", "public", "private"}},
	} {
		if !slices.Contains(is.one, is.value) {
			return fail("", "%s = %s: it is one of %s", key, is.value, strings.Join(slices.DeleteFunc(is.one, func(s string) bool { return s == "" }), ", "))
		}
	}
	var err error
	if p.match, err = regexp.Compile(o.Match); err != nil {
		return fail("", "type-match = %s: %w", o.Match, err)
	}
	if p.sets, err = flavor.ParseSets(o.Sets); err != nil {
		return fail("", "flavor-sets: %w", err)
	}
	for _, line := range o.Prices {
		typ, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		price, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || price <= 0 {
			return fail("prices = m5.large 0.096, c5.large 0.085", "prices: %q is not a type and what it costs for an hour", line)
		}
		p.onDemand[typ] = price
	}
	for _, tag := range o.Tags {
		if key, _, ok := strings.Cut(tag, "="); !ok || key == "" || strings.HasPrefix(key, "hostler:") || strings.HasPrefix(key, "aws:") {
			return fail("tags = team=build, cost-center=7", "tags: %q is not NAME=VALUE with a name of your own", tag)
		}
	}
	for key, text := range map[string]string{"max-price": o.MaxPrice, "spot-price": o.Ceiling} {
		switch price, err := strconv.ParseFloat(cmp.Or(text, "1"), 64); {
		case err != nil || !(price > 0) || math.IsInf(price, 0):
			return fail("", "%s = %s: not a price for an hour", key, text)
		case text != "" && o.Spot == "no":
			return fail("set spot = yes or spot = first", "%s is for spot instances", key)
		case key == "spot-price" && text != "":
			p.ceiling = price
		}
	}
	switch {
	case o.MaxPrice != "" && o.Ceiling != "":
		return fail("leave max-price out", "spot-price is a max-price too")
	case o.Source == "" || o.Installation == "" || o.Dir == "":
		return fail("", "a source needs a name, an installation and a directory")
	case o.Endpoint != "" && !strings.HasPrefix(o.Endpoint, "https://") && !strings.HasPrefix(o.Endpoint, "http://"):
		return fail("", "endpoint = %s: not a URL", o.Endpoint)
	case len(o.Subnets) > 0 && len(o.Zones) > 0:
		return fail("leave zones out", "subnets and zones: a subnet is in a zone")
	case o.Cores < 0 || o.Memory < 0 || o.VolumeSize < 0 || o.Attempts < 0 || o.Poll < 0:
		return fail("", "cores, memory, volume-size, attempts and poll cannot be less than nothing")
	case o.Port < 1 || o.Port > 65535:
		return fail("", "ssh-port = %d", o.Port)
	case len(o.Types) > 0 && (o.Cores > 0 || o.Memory > 0 || o.Match != "" || len(p.sets) > 0):
		return fail("leave one of them out", "types name what cores, memory, type-match and flavor-sets look for")
	case strings.ContainsFunc(o.User, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`:"'{}[]#&*!|>%@\`, r) }):
		return fail("", "user = %q: no name of a user", o.User)
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
	p.log.Warn("terminating an instance that was made twice", "instance", same[0].id, "source", p.o.Source, "kept", same[0].instance, "terminated", strings.Join(more, " "))
	if err := p.terminate(ctx, more, same[1:]); err != nil {
		p.log.Warn("terminate", "instance", same[0].id, "source", p.o.Source, "err", err)
	}
}

// find returns the instance of a name, from a listing that was begun at a time or later; one that is not in an older listing is looked for anew.
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

// Destroy terminates an instance, at once. When there is none any more, a volume that it left goes too.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	return fault(ctx, "Destroy", id, p.destroy(ctx, id))
}

func (p *Provider) destroy(ctx context.Context, id compute.ID) error {
	same, err := p.findAll(ctx, id, time.Now())
	if errors.Is(err, compute.ErrNotFound) && name().MatchString(string(id)) {
		// That it is gone is believed only of who was asked for it alone: of a long list a page may have been another's.
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

// terminate ends instances. A request for spot instances that would make others in their place goes first.
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
	of := []types.Filter{filter("tag:"+tagInstallation, p.o.Installation), filter("tag:"+tagSource, source), filter("tag:"+tagInstance, string(id)), filter("status", string(types.VolumeStateAvailable))}
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
