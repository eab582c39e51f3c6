// Package deployment makes, under one name, what the instances of EC2 need: a key pair and a
// security group. It lists and destroys the servers of an installation, of any source, and removes
// a deployment.
package deployment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/keys"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// Place is where deployments are: an account of EC2 in a region.
type Place struct {
	session *session.Session
	keys    *keys.Ring
	subnets []string // they name the network; none: the default one
}

// Open returns the place of a session. keys are those of the deployments' instances.
func Open(s *session.Session, k *keys.Ring, subnets []string) *Place { return &Place{s, k, subnets} }

// Deployment says what instances need, under one name.
type Deployment struct {
	Name  string   // of the key pair and the security group
	Ports []string // that others may reach: 22, 8000-8010, udp/53; none: no security group
	From  []string // the networks that may reach them; none: only the group's own instances

	DryRun bool // change nothing, and tell what would be done; ids are then unknown
	// Begin is called when nothing was refused, before the first change. Deploy returns its error
	// and has then changed nothing. A dry run does not call it. nil: nothing is called.
	Begin func() error
}

// Deployed is what a deployment has for instances.
type Deployed struct {
	Account    string
	Region     string
	Pair       string // the name of the key pair
	PairID     string
	Group      string // the id of the security group; "": none was wanted
	Default    string // the id of the network's default security group; "": there is none
	PrivateKey string // PEM
}

// names matches the names of deployments, which are those of security groups.
var names = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_ -]{0,99}$`) })

// settle is how long new things may not be found, and deleted ones be in use.
const settle = 2 * time.Minute

// Deploy makes a key pair and a security group if they are missing, with our marks from the first
// request on. It corrects the group's rules. It may be repeated. It refuses before the first change
// if it can. A thing of the name that somebody else made is used unchanged if it is right. tell is
// called with each thing that was "made" or "deleted", or that a dry run "would make" or "would
// delete". It may be nil. ErrInvalid: the deployment is wrong. ErrConflict: an existing thing
// cannot be used.
func (p *Place) Deploy(ctx context.Context, d Deployment, tell func(did, kind, name string)) (Deployed, error) {
	out, err := p.deploy(ctx, d, tell)
	return out, session.Wrap(ctx, "Deploy", compute.ID(d.Name), err)
}

// deploy runs itself as a dry run before the first change, so that whatever can be refused is
// refused then.
func (p *Place) deploy(ctx context.Context, d Deployment, tell func(did, kind, name string)) (out Deployed, err error) {
	if tell == nil {
		tell = func(string, string, string) {}
	}
	if !names().MatchString(d.Name) || strings.HasPrefix(d.Name, "sg-") {
		return out, &compute.Error{
			ID: compute.ID(d.Name), Kind: compute.ErrInvalid,
			Err: errors.New("not a name for a security group: letters, digits, _, - and spaces, 100 at most"),
		}
	}
	rules, err := d.rules()
	if err != nil {
		return out, err
	}
	if out.Account, out.Region, err = p.Account(ctx); err != nil {
		return out, err
	}
	if !d.DryRun { // what can be refused is refused before the first change
		dry := d
		dry.DryRun = true
		if _, err := p.deploy(ctx, dry, nil); err != nil {
			return out, err
		}
		if d.Begin != nil {
			if err := d.Begin(); err != nil {
				return out, err
			}
		}
	}
	if out.Pair, out.PairID, out.PrivateKey, err = p.ensurePair(ctx, d, tell); err != nil {
		return out, err
	}
	vpc, err := p.vpc(ctx)
	if err != nil {
		return out, err
	}
	usual, err := p.groups(ctx, session.Filter("group-name", "default"))
	if err != nil {
		return out, err
	}
	for _, g := range usual {
		if vpc == "" || aws.ToString(g.VpcId) == vpc {
			out.Default = aws.ToString(g.GroupId)
			break
		}
	}
	if len(d.Ports) > 0 {
		out.Group, err = p.ensureGroup(ctx, d, vpc, rules, tell)
	}
	return out, err
}

// Account returns the account of the credentials and the region. The account is read from the
// default security groups. "": there are none, or they cannot be read.
func (p *Place) Account(ctx context.Context) (account, region string, err error) {
	all, err := p.groups(ctx, session.Filter("group-name", "default"))
	var f *session.Fault
	if err != nil {
		if f = session.FaultOf(err); f == nil || f.Code != "UnauthorizedOperation" {
			return "", "", session.Wrap(ctx, "Account", compute.ID(p.session.Source), err)
		}
	}
	for _, g := range all {
		account = cmp.Or(account, aws.ToString(g.OwnerId))
	}
	region, _ = p.session.Place()
	return account, region, nil
}

// vpc returns the network of the source's subnets. "": the default one.
func (p *Place) vpc(ctx context.Context) (string, error) {
	if len(p.subnets) == 0 {
		return "", nil
	}
	c, err := p.session.API(ctx)
	if err != nil {
		return "", err
	}
	out, err := c.Region.Subnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: p.subnets})
	if err != nil {
		return "", err
	}
	vpc := ""
	for _, s := range out.Subnets {
		if v := aws.ToString(s.VpcId); vpc != "" && v != vpc {
			return "", &compute.Error{
				Kind: compute.ErrInvalid,
				Err:  fmt.Errorf("the subnets are in two networks, %s and %s, and a security group is in one", vpc, v),
				Hint: "name subnets of one network",
			}
		} else {
			vpc = v
		}
	}
	return vpc, nil
}

// marked returns the tags of what a deployment makes.
func (p *Place) marked(kind types.ResourceType, deployment string) []types.TagSpecification {
	return []types.TagSpecification{{
		ResourceType: kind,
		Tags: []types.Tag{
			session.Tag("Name", deployment), session.Tag(session.TagInstallation, p.session.Installation),
			session.Tag(session.TagDeployment, deployment),
		},
	}}
}

// isOurs reports by its tags whether we made a thing for a deployment, or another installation did.
func (p *Place) isOurs(tags []types.Tag, deployment string) (ours, others bool) {
	installation, of := "", ""
	for _, t := range tags {
		switch aws.ToString(t.Key) {
		case session.TagInstallation:
			installation = aws.ToString(t.Value)
		case session.TagDeployment:
			of = aws.ToString(t.Value)
		}
	}
	ours = installation == p.session.Installation && of == deployment
	return ours, !ours && installation != ""
}

// ensurePair uploads the public half of the source's own key as a key pair, if it is missing.
func (p *Place) ensurePair(ctx context.Context, d Deployment, tell func(did, kind, name string)) (pair, id, private string, err error) {
	name := d.Name
	if p.keys.KeyName != "" || p.keys.IdentityFile != "" {
		return p.keys.KeyName, "", "", nil // the user has one
	}
	var k keys.Pair
	switch {
	case !d.DryRun:
		k, err = p.keys.WriteOwn()
	case p.keys.HasSecret(): // a dry run makes none
		k, err = p.keys.Own()
	}
	if err != nil {
		return "", "", "", err
	}
	c, err := p.session.API(ctx)
	if err != nil {
		return "", "", "", err
	}
	made := false
	for end := time.Now().Add(settle); ; {
		out, err := c.Keys.Describe(
			ctx,
			&ec2.DescribeKeyPairsInput{Filters: []types.Filter{session.Filter("key-name", name)}, IncludePublicKey: aws.Bool(true)},
		)
		if err != nil {
			return "", "", "", err
		}
		if len(out.KeyPairs) > 0 {
			there := out.KeyPairs[0]
			if !sameKey(aws.ToString(there.PublicKey), k.Public) {
				ours, _ := p.isOurs(there.Tags, name)
				why := "a key pair of this name is there, which somebody else made"
				if ours {
					why = "the key pair is there, and the private half here is another: the secret of " + p.keys.Dir +
						" is not the one that it was made of"
				}
				return "", "", "", &compute.Error{
					ID: compute.ID(name), Kind: compute.ErrConflict, Err: errors.New(why),
					Hint: "take another name, or delete the key pair",
				}
			}
			if made {
				tell("made", "key pair", name)
			}
			return name, aws.ToString(there.KeyPairId), string(k.Private), nil
		}
		if d.DryRun {
			tell("would make", "key pair", name)
			return name, "", string(k.Private), nil
		}
		if !made {
			_, err := c.Keys.Import(
				ctx,
				&ec2.ImportKeyPairInput{
					KeyName: aws.String(name), PublicKeyMaterial: []byte(k.Public),
					TagSpecifications: p.marked(types.ResourceTypeKeyPair, name),
				},
			)
			// else another process was faster
			if err != nil && session.Why(err) != session.Conflicting {
				return "", "", "", err
			}
			made = err == nil
		}
		if time.Now().After(end) {
			return "", "", "", &compute.Error{
				ID: compute.ID(name), Kind: compute.ErrTimeout,
				Err: errors.New("the key pair was made, and is not listed"),
			}
		}
		if err := session.Pause(ctx, min(p.session.Poll, time.Second)); err != nil {
			return "", "", "", err
		}
	}
}

// sameKey compares public keys. Comments do not count.
func sameKey(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	return len(x) > 1 && len(y) > 1 && x[0] == y[0] && x[1] == y[1]
}

// prefixes returns the networks of From.
func (d Deployment) prefixes() (out []netip.Prefix, err error) {
	for _, text := range d.From {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &compute.Error{
				ID: compute.ID(d.Name), Kind: compute.ErrInvalid,
				Err: fmt.Errorf("from %q: not a range of addresses, as 203.0.113.0/24", text),
			}
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}
