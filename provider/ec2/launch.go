package ec2

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
)

// spot is where an instance may be made: a type, in a place, in a market.
type spot struct {
	typ    string
	subnet string // "": the zone's own
	zone   string // "": the service chooses
	market string // spot or on-demand
}

func (s spot) String() string {
	return strings.Join(slices.DeleteFunc([]string{s.market, s.typ, s.subnet, s.zone}, func(x string) bool { return x == "" }), " ")
}

// visibleWithin is when what was made is listed.
const visibleWithin = 2 * time.Minute

// Create launches an instance, in the first place that has room, and waits until it is listed. Of
// one that is there it returns that.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	m, err := p.create(ctx, spec)
	if err != nil {
		out := fault(ctx, "Create", spec.ID, err)
		if compute.WasUnasked(err) {
			out = compute.Unasked(out)
		}
		return compute.Instance{}, out
	}
	return p.instanceOf(ctx, m), nil
}

func (p *Provider) create(ctx context.Context, spec compute.Spec) (machine, error) {
	if !name().MatchString(string(spec.ID)) {
		return machine{}, compute.Unasked(&compute.Error{
			ID: spec.ID, Kind: compute.ErrInvalid, Err: errors.New("not a name that an instance may have"),
		})
	}
	switch same, err := p.findAll(ctx, spec.ID, time.Now()); {
	case err == nil && ending(same[0]) == 0:
		p.single(ctx, same)
		return same[0], nil
	case err == nil:
		return machine{}, &compute.Error{ID: spec.ID, Kind: compute.ErrConflict, Err: errors.New("one of this name is being terminated")}
	case !errors.Is(err, compute.ErrNotFound):
		return machine{}, compute.Unasked(err)
	}
	in, img, err := p.request(ctx, spec)
	if err != nil {
		return machine{}, compute.Unasked(err)
	}
	m, err := p.launch(ctx, spec, img, in)
	// deregistered since it was looked up
	if why(err) == Missing && strings.Contains(err.Error(), "AMI") {
		fresh, err2 := p.findImage(ctx, cmp.Or(spec.Image, p.o.Image), true)
		if err2 != nil || fresh.id == img.id {
			return machine{}, err
		}
		in.ImageId, img = aws.String(fresh.id), fresh
		m, err = p.launch(ctx, spec, img, in)
	}
	if err != nil {
		return machine{}, err
	}
	p.log.Info("launched", "instance", spec.ID, "source", p.o.Source, "provider", m.instance, "type", m.typ, "zone", m.zone)
	return p.visible(ctx, m), nil
}

// request is what is the same wherever an instance is made.
func (p *Provider) request(ctx context.Context, spec compute.Spec) (*ec2.RunInstancesInput, image, error) {
	name := cmp.Or(spec.Image, p.o.Image)
	img, err := p.findImage(ctx, name, false)
	if err != nil {
		return nil, img, err
	}
	data, err := p.userData(spec)
	if err != nil {
		return nil, img, err
	}
	tags := []types.Tag{
		tag("Name", string(spec.ID)), tag(tagInstallation, p.o.Installation), tag(tagSource, p.o.Source), tag(tagInstance, string(spec.ID)),
		tag(tagUser, cmp.Or(p.o.User, img.user())), tag(tagHostKey, p.o.HostKey),
	}
	if p.o.Deployment != "" {
		tags = append(tags, tag(tagDeployment, p.o.Deployment))
	}
	for _, t := range p.o.Tags {
		key, value, _ := strings.Cut(t, "=")
		tags = append(tags, tag(strings.TrimSpace(key), strings.TrimSpace(value)))
	}
	in := &ec2.RunInstancesInput{
		ImageId: aws.String(img.id), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		MetadataOptions: &types.InstanceMetadataOptionsRequest{HttpTokens: types.HttpTokensStateRequired},
	}
	for _, kind := range []types.ResourceType{types.ResourceTypeInstance, types.ResourceTypeVolume, types.ResourceTypeNetworkInterface} {
		in.TagSpecifications = append(in.TagSpecifications, types.TagSpecification{ResourceType: kind, Tags: tags})
	}
	if len(data) > 0 {
		in.UserData = aws.String(base64.StdEncoding.EncodeToString(data))
	}
	if key := cmp.Or(p.o.Key, p.o.Pair); key != "" {
		in.KeyName = aws.String(key)
	}
	if p.o.Role != "" {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: aws.String(p.o.Role)}
		if strings.HasPrefix(p.o.Role, "arn:") {
			in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Arn: aws.String(p.o.Role)}
		}
	}
	if p.o.StopBy == "hibernate" {
		in.HibernationOptions = &types.HibernationOptionsRequest{Configured: aws.Bool(true)}
	}
	return in, img, p.volume(in, img, spec)
}

// volume says what the root volume is to be, where that is not as the image has it.
func (p *Provider) volume(in *ec2.RunInstancesInput, img image, spec compute.Spec) error {
	const gib = 1 << 30
	want := (max(p.o.VolumeSize, spec.Disk) + gib - 1) / gib
	hibernates := p.o.StopBy == "hibernate" // what is in memory goes there, so it must be encrypted
	if want <= img.size && p.o.VolumeType == "" && !p.o.Encrypted && !hibernates {
		return nil
	}
	if img.root == "" {
		return &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("nobody knows the root volume of %s", img.id),
			Hint: "name the image by its id or name, or leave size and type of the volume to it",
		}
	}
	ebs := &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(true), VolumeType: types.VolumeType(p.o.VolumeType)}
	if want > img.size {
		ebs.VolumeSize = aws.Int32(int32(min(want, 1<<20)))
	}
	if p.o.Encrypted || hibernates {
		ebs.Encrypted = aws.Bool(true)
	}
	in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String(img.root), Ebs: ebs}}
	return nil
}

func tag(key, value string) types.Tag {
	return types.Tag{Key: aws.String(key), Value: aws.String(value)}
}

// spots are the places to try, in order: every type in every place for spot, if that is wanted, and
// then on demand. Where neither types nor classes of them are named, the spots that cost least now
// come first.
func (p *Provider) spots(ctx context.Context, spec compute.Spec, img image) ([]spot, error) {
	all, free, err := p.fitting(ctx, spec, img)
	if err != nil {
		return nil, err
	}
	places := []spot{{}}
	switch {
	case spec.Location != "" && strings.HasPrefix(spec.Location, "subnet-"):
		places = []spot{{subnet: spec.Location}}
	case spec.Location != "":
		places = []spot{{zone: spec.Location}}
	case len(p.o.Subnets) > 0:
		places = nil
		for _, s := range p.o.Subnets {
			places = append(places, spot{subnet: s})
		}
	case len(p.o.Zones) > 0:
		places = nil
		for _, z := range p.o.Zones {
			places = append(places, spot{zone: z})
		}
	}
	markets := map[string][]string{"no": {"on-demand"}, "yes": {"spot"}, "first": {"spot", "on-demand"}}[p.o.Spot]
	var out []spot
	for _, market := range markets {
		list := all
		if free && market == "on-demand" {
			list = all[:min(len(all), mostTypes)]
		} else if free {
			list = all[:min(len(all), mostPriced)]
		}
		var some []spot
		for _, typ := range list {
			if market == "on-demand" && !within(p.onDemand[typ], spec.MaxPrice) {
				continue
			}
			for _, s := range places {
				s.typ, s.market = typ, market
				some = append(some, s)
			}
		}
		if market == "spot" {
			if some, err = p.affordable(ctx, some, list, free, lower(p.ceiling, spec.MaxPrice), markets); err != nil {
				return nil, err
			}
		}
		out = append(out, some...)
	}
	if len(out) == 0 {
		return nil, &compute.Error{Kind: compute.ErrTooLarge, Err: fmt.Errorf(
			"no type of instance that the source allows is known to cost at most %v for an hour", spec.MaxPrice,
		),
			Hint: "ask for a higher price; `prices` of the source is what is known"}
	}
	return p.rich(out, p.chooses(spec)), nil
}

// chooses tells whether a request may have a type of one of several classes of hardware.
func (p *Provider) chooses(spec compute.Spec) bool { return spec.Flavor == "" && len(p.sets) > 0 }

// rich are the spots to try. Those that had no capacity lately come last; among classes of hardware
// they are left out, and where that leaves none, the first type is tried again.
func (p *Provider) rich(all []spot, classes bool) []spot {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var had, lacked []spot
	for _, s := range all {
		if p.poor.HasFailed(s.String(), now) {
			lacked = append(lacked, s)
		} else {
			had = append(had, s)
		}
	}
	switch {
	case !classes:
		return append(had, lacked...)
	case len(had) > 0:
		return had
	}
	return slices.DeleteFunc(lacked, func(s spot) bool { return s.typ != lacked[0].typ })
}

// launch asks for an instance in one place after the other.
func (p *Provider) launch(ctx context.Context, spec compute.Spec, img image, in *ec2.RunInstancesInput) (machine, error) {
	places, err := p.spots(ctx, spec, img)
	if err != nil {
		return machine{}, compute.Unasked(err)
	}
	c, err := p.api(ctx)
	if err != nil {
		return machine{}, compute.Unasked(err)
	}
	var said []error
	sure := true // that nothing was made
	for _, s := range places {
		if err := p.at("launch"); err != nil {
			return machine{}, err
		}
		m, err := p.launchAt(ctx, c, spec, *in, s)
		if err == nil {
			p.mu.Lock()
			p.poor.Succeed(s.String())
			p.mu.Unlock()
			if err := p.at("launched"); err != nil {
				return machine{}, err
			}
			return m, nil
		}
		f := faultOf(err)
		if f == nil || ctx.Err() != nil {
			return machine{}, err
		}
		sure = sure && definite(f)
		said = append(said, fmt.Errorf("%s: %w", s, f))
		p.mu.Lock()
		if f.Reason == NoHardware || f.Reason == Quota {
			p.poor.Fail(s.String(), time.Now())
		}
		p.mu.Unlock()
		if f.Reason != NoHardware && f.Reason != Quota && f.Reason != Unsupported {
			break
		}
	}
	f := faultOf(said[len(said)-1])
	for _, e := range said { // no capacity somewhere is what to wait for
		if r := faultOf(e); r.Reason == NoHardware || r.Reason == Quota && f.Reason == Unsupported {
			f = r
		}
	}
	var all error = f
	if len(said) > 1 {
		var words []string
		for _, e := range said {
			words = append(words, e.Error())
		}
		all = fmt.Errorf("%d places were tried: %s%w", len(said), strings.Join(words, "; "), silent{f})
	}
	err = &compute.Error{Op: "ec2.Create", ID: spec.ID, Kind: kinds[f.Reason], Err: all, Hint: hints[f.Reason]}
	if sure {
		err = compute.Unasked(err)
	}
	return machine{}, err
}

// silent is an error whose words were said already.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// launchAt asks for an instance in one place. The client token is that of the instance and the
// place, so that who repeats it does not get two.
func (p *Provider) launchAt(ctx context.Context, c *calls, spec compute.Spec, in ec2.RunInstancesInput, s spot) (machine, error) {
	in.InstanceType = types.InstanceType(s.typ)
	if s.zone != "" {
		in.Placement = &types.Placement{AvailabilityZone: aws.String(s.zone)}
	}
	if p.o.PublicIP != "" {
		in.NetworkInterfaces = []types.InstanceNetworkInterfaceSpecification{{
			DeviceIndex: aws.Int32(0), AssociatePublicIpAddress: aws.Bool(p.o.PublicIP == "yes"),
			Groups: p.o.SecurityGroups, DeleteOnTermination: aws.Bool(true),
		}}
		if s.subnet != "" {
			in.NetworkInterfaces[0].SubnetId = aws.String(s.subnet)
		}
	} else {
		in.SecurityGroupIds = p.o.SecurityGroups
		if s.subnet != "" {
			in.SubnetId = aws.String(s.subnet)
		}
	}
	if s.market == "spot" {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{
			MarketType:  types.MarketTypeSpot,
			SpotOptions: &types.SpotMarketOptions{SpotInstanceType: types.SpotInstanceTypeOneTime},
		}
		most := cmp.Or(p.o.MaxPrice, p.o.Ceiling)
		if own, err := strconv.ParseFloat(most, 64); spec.MaxPrice > 0 && (err != nil || own > spec.MaxPrice) {
			most = strconv.FormatFloat(spec.MaxPrice, 'f', -1, 64)
		}
		if most != "" {
			in.InstanceMarketOptions.SpotOptions.MaxPrice = aws.String(most)
		}
		in.TagSpecifications = append(
			slices.Clone(in.TagSpecifications),
			types.TagSpecification{ResourceType: types.ResourceTypeSpotInstancesRequest, Tags: in.TagSpecifications[0].Tags},
		)
	}
	for generation := 0; ; generation++ {
		in.ClientToken = aws.String(p.token(spec.ID, s, generation))
		out, err := c.runInstances(ctx, &in)
		if err != nil {
			if f := faultOf(err); f != nil && f.Code == "IdempotentParameterMismatch" && generation < generations {
				// Somebody asked for it before the source was changed. Had that been answered, it
				// would have been found by its tags; it may be on its way.
				m, found, err := p.byToken(ctx, aws.ToString(in.ClientToken))
				if err != nil || found {
					return m, err
				}
				continue
			}
			return machine{}, err
		}
		if len(out.Instances) == 0 {
			return machine{}, errors.New("the service says that it launched nothing")
		}
		m := machineOf(out.Instances[0])
		m.id = spec.ID
		if (m.state == types.InstanceStateNameTerminated || m.state == types.InstanceStateNameShuttingDown) && generation < generations {
			continue // this request made one that has ended since
		}
		return m, nil
	}
}

// generations is how many instances one name may have had before that have ended.
const generations = 4

// token is the client token of a request.
func (p *Provider) token(id compute.ID, s spot, generation int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d", p.o.Installation, p.o.Source, id, s, generation))
	return hex.EncodeToString(sum[:])
}

// byToken looks for a living instance that was asked for with a token, and for a moment: it may be
// on its way.
func (p *Provider) byToken(ctx context.Context, token string) (machine, bool, error) {
	for end := time.Now().Add(2 * p.o.Poll); ; {
		found, err := p.describe(ctx, p.ours(existing, filter("client-token", token)))
		if err != nil {
			return machine{}, false, err
		}
		if i := slices.IndexFunc(found, func(m machine) bool { return ending(m) == 0 }); i >= 0 {
			return found[i], true, nil
		}
		if time.Now().After(end) {
			return machine{}, false, nil
		}
		if err := pause(ctx, p.o.Poll); err != nil {
			return machine{}, false, err
		}
	}
}

// visible waits until an instance is listed: what is made is not, for a while. It is there in any
// case.
func (p *Provider) visible(ctx context.Context, m machine) machine {
	wait := 50 * time.Millisecond
	for end := time.Now().Add(visibleWithin); time.Now().Before(end); wait = min(2*wait, p.o.Poll) {
		l, err := p.look(ctx, time.Now())
		if err != nil && ctx.Err() != nil {
			return m
		}
		if err == nil && l.all[m.id] != nil {
			return l.all[m.id][0]
		}
		if pause(ctx, wait) != nil {
			return m
		}
	}
	return m
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
