package ec2

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2/keys"
	"github.com/hostler-project/hostler/provider/ec2/session"
	"github.com/hostler-project/hostler/provider/flavor"
)

// spot is where an instance may be made: a type, a place and a market.
type spot struct {
	typ    string
	subnet string // "": the zone's default
	zone   string // "": the service chooses
	market string // spot or on-demand
}

func (s spot) String() string {
	return strings.Join(slices.DeleteFunc([]string{s.market, s.typ, s.subnet, s.zone}, func(x string) bool { return x == "" }), " ")
}

// launcher launches instances.
type launcher struct {
	o         *settings
	log       *slog.Logger
	session   *session.Session
	keys      *keys.Ring
	instances *instances
	images    *images
	types     *sizes
	prices    *prices

	mu   sync.Mutex
	poor flavor.Memory // the spots without capacity lately
}

// request returns the part of a launch that is the same in every place.
func (l *launcher) request(ctx context.Context, spec compute.Spec) (*ec2.RunInstancesInput, image, error) {
	name := cmp.Or(spec.Image, l.o.Image)
	img, err := l.images.find(ctx, name, false)
	if err != nil {
		return nil, img, err
	}
	data, err := l.userData(spec)
	if err != nil {
		return nil, img, err
	}
	tags := []types.Tag{
		session.Tag("Name", string(spec.ID)), session.Tag(session.TagInstallation, l.o.Installation),
		session.Tag(session.TagSource, l.o.Source), session.Tag(session.TagInstance, string(spec.ID)),
		session.Tag(session.TagUser, cmp.Or(l.o.User, img.user())), session.Tag(session.TagHostKey, l.o.HostKey),
	}
	if l.o.Deployment != "" {
		tags = append(tags, session.Tag(session.TagDeployment, l.o.Deployment))
	}
	for _, t := range l.o.Tags {
		key, value, _ := strings.Cut(t, "=")
		tags = append(tags, session.Tag(strings.TrimSpace(key), strings.TrimSpace(value)))
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
	if key := cmp.Or(l.o.Key, l.o.Pair); key != "" {
		in.KeyName = aws.String(key)
	}
	if l.o.Role != "" {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: aws.String(l.o.Role)}
		if strings.HasPrefix(l.o.Role, "arn:") {
			in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Arn: aws.String(l.o.Role)}
		}
	}
	if l.o.StopBy == "hibernate" {
		in.HibernationOptions = &types.HibernationOptionsRequest{Configured: aws.Bool(true)}
	}
	return in, img, l.volume(in, img, spec)
}

// volume sets the root volume where it differs from the image's.
func (l *launcher) volume(in *ec2.RunInstancesInput, img image, spec compute.Spec) error {
	const gib = 1 << 30
	want := (max(l.o.VolumeSize, spec.Disk) + gib - 1) / gib
	hibernates := l.o.StopBy == "hibernate" // memory goes there, so it must be encrypted
	if want <= img.size && l.o.VolumeType == "" && !l.o.Encrypted && !hibernates {
		return nil
	}
	if img.root == "" {
		return &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("nobody knows the root volume of %s", img.id),
			Hint: "name the image by its id or name, or leave size and type of the volume to it",
		}
	}
	ebs := &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(true), VolumeType: types.VolumeType(l.o.VolumeType)}
	if want > img.size {
		ebs.VolumeSize = aws.Int32(int32(min(want, 1<<20)))
	}
	if l.o.Encrypted || hibernates {
		ebs.Encrypted = aws.Bool(true)
	}
	in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String(img.root), Ebs: ebs}}
	return nil
}

// spots returns the places to try, in order. If spot is wanted, every type in every place for spot
// comes first, then on demand. If the source names neither types nor classes, the cheapest come
// first.
func (l *launcher) spots(ctx context.Context, spec compute.Spec, img image) ([]spot, error) {
	all, free, err := l.fitting(ctx, spec, img)
	if err != nil {
		return nil, err
	}
	places := []spot{{}}
	switch {
	case spec.Location != "" && strings.HasPrefix(spec.Location, "subnet-"):
		places = []spot{{subnet: spec.Location}}
	case spec.Location != "":
		places = []spot{{zone: spec.Location}}
	case len(l.o.Subnets) > 0:
		places = nil
		for _, s := range l.o.Subnets {
			places = append(places, spot{subnet: s})
		}
	case len(l.o.Zones) > 0:
		places = nil
		for _, z := range l.o.Zones {
			places = append(places, spot{zone: z})
		}
	}
	markets := map[string][]string{"no": {"on-demand"}, "yes": {"spot"}, "first": {"spot", "on-demand"}}[l.o.Spot]
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
			if market == "on-demand" && !within(l.o.onDemand[typ], spec.MaxPrice) {
				continue
			}
			for _, s := range places {
				s.typ, s.market = typ, market
				some = append(some, s)
			}
		}
		if market == "spot" {
			if some, err = l.affordable(ctx, some, list, free, lower(l.o.ceiling, spec.MaxPrice), markets); err != nil {
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
	return l.rich(out, l.chooses(spec)), nil
}

// chooses reports whether a request may have a type of one of several classes of hardware.
func (l *launcher) chooses(spec compute.Spec) bool { return spec.Flavor == "" && len(l.o.sets) > 0 }

// rich returns the spots to try. Those without capacity lately come last. Among classes of hardware
// they are left out. If that leaves none, the first type is tried again.
func (l *launcher) rich(all []spot, classes bool) []spot {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var had, lacked []spot
	for _, s := range all {
		if l.poor.HasFailed(s.String(), now) {
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

// launch requests an instance in one place after the other.
func (l *launcher) launch(ctx context.Context, spec compute.Spec, img image, in *ec2.RunInstancesInput) (session.Machine, error) {
	places, err := l.spots(ctx, spec, img)
	if err != nil {
		return session.Machine{}, provider.Unasked(err)
	}
	c, err := l.session.API(ctx)
	if err != nil {
		return session.Machine{}, provider.Unasked(err)
	}
	var said []error
	sure := true // nothing was made, certainly
	for _, s := range places {
		if err := l.session.At("launch"); err != nil {
			return session.Machine{}, err
		}
		m, err := l.launchAt(ctx, c, spec, *in, s)
		if err == nil {
			l.mu.Lock()
			l.poor.Succeed(s.String())
			l.mu.Unlock()
			if err := l.session.At("launched"); err != nil {
				return session.Machine{}, err
			}
			return m, nil
		}
		f := session.FaultOf(err)
		if f == nil || ctx.Err() != nil {
			return session.Machine{}, err
		}
		sure = sure && session.Definite(f)
		said = append(said, fmt.Errorf("%s: %w", s, f))
		l.mu.Lock()
		if f.Reason == session.NoHardware || f.Reason == session.Quota {
			l.poor.Fail(s.String(), time.Now())
		}
		l.mu.Unlock()
		if f.Reason != session.NoHardware && f.Reason != session.Quota && f.Reason != session.Unsupported {
			break
		}
	}
	f := session.FaultOf(said[len(said)-1])
	for _, e := range said { // a place without capacity is worth waiting for
		if r := session.FaultOf(e); r.Reason == session.NoHardware || r.Reason == session.Quota && f.Reason == session.Unsupported {
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
	err = &compute.Error{Op: "ec2.Create", ID: spec.ID, Kind: session.Kinds[f.Reason], Err: all, Hint: session.Hints[f.Reason]}
	if sure {
		err = provider.Unasked(err)
	}
	return session.Machine{}, err
}

// silent is an error whose words another error has already.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// launchAt requests an instance in one place. The client token is made of the instance and the
// place, so a repeated request does not make two.
func (l *launcher) launchAt(
	ctx context.Context, c *session.Calls, spec compute.Spec, in ec2.RunInstancesInput, s spot,
) (session.Machine, error) {
	in.InstanceType = types.InstanceType(s.typ)
	if s.zone != "" {
		in.Placement = &types.Placement{AvailabilityZone: aws.String(s.zone)}
	}
	if l.o.PublicIP != "" {
		in.NetworkInterfaces = []types.InstanceNetworkInterfaceSpecification{{
			DeviceIndex: aws.Int32(0), AssociatePublicIpAddress: aws.Bool(l.o.PublicIP == "yes"),
			Groups: l.o.SecurityGroups, DeleteOnTermination: aws.Bool(true),
		}}
		if s.subnet != "" {
			in.NetworkInterfaces[0].SubnetId = aws.String(s.subnet)
		}
	} else {
		in.SecurityGroupIds = l.o.SecurityGroups
		if s.subnet != "" {
			in.SubnetId = aws.String(s.subnet)
		}
	}
	if s.market == "spot" {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{
			MarketType:  types.MarketTypeSpot,
			SpotOptions: &types.SpotMarketOptions{SpotInstanceType: types.SpotInstanceTypeOneTime},
		}
		most := cmp.Or(l.o.MaxPrice, l.o.Ceiling)
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
		in.ClientToken = aws.String(l.token(spec.ID, s, generation))
		out, err := c.Instances.Run(ctx, &in)
		if err != nil {
			if f := session.FaultOf(err); f != nil && f.Code == "IdempotentParameterMismatch" && generation < generations {
				// The token was used before the source was changed. An instance whose launch had an
				// answer would have been found by its tags. This one may not be listed yet.
				m, found, err := l.instances.byToken(ctx, aws.ToString(in.ClientToken))
				if err != nil || found {
					return m, err
				}
				continue
			}
			return session.Machine{}, err
		}
		if len(out.Instances) == 0 {
			return session.Machine{}, errors.New("the service says that it launched nothing")
		}
		m := session.MachineOf(out.Instances[0])
		m.ID = spec.ID
		if (m.State == types.InstanceStateNameTerminated || m.State == types.InstanceStateNameShuttingDown) && generation < generations {
			continue // this request made an instance that has ended since
		}
		return m, nil
	}
}

// generations is how many instances of one name may have ended before.
const generations = 4

// token returns the client token of a request.
func (l *launcher) token(id compute.ID, s spot, generation int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d", l.o.Installation, l.o.Source, id, s, generation))
	return hex.EncodeToString(sum[:])
}
