package deployment

import (
	"context"
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
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// rule is what one rule of a security group allows.
type rule struct {
	protocol string // tcp, udp, icmp, icmpv6; -1: all
	from, to int32  // ports; -1: all
	source   string // a network, or a group's id; "": the group itself
}

// String words the rule for messages, such as "tcp 22-23 from 10.0.0.0/8". Ports of -1 are left
// out.
func (r rule) String() string {
	what := r.protocol
	if r.from >= 0 {
		what += " " + strconv.Itoa(int(r.from))
	}
	if r.to > r.from {
		what += "-" + strconv.Itoa(int(r.to))
	}
	if r.source == "" {
		return what + " from its own instances"
	}
	return what + " from " + r.source
}

// rules returns the rules for a deployment: each port, and ICMP, from each network.
func (d Deployment) rules() (out []rule, err error) {
	prefixes, err := d.prefixes()
	if err != nil {
		return nil, err
	}
	type end struct{ source, icmp string }
	ends := []end{{"", "icmp"}}
	if len(prefixes) > 0 {
		ends = nil
	}
	for _, p := range prefixes {
		e := end{p.String(), "icmp"}
		if p.Addr().Is6() {
			e.icmp = "icmpv6"
		}
		ends = append(ends, e)
	}
	for _, e := range ends {
		for _, text := range d.Ports {
			r := rule{protocol: "tcp", source: e.source}
			rest := text
			if protocol, after, ok := strings.Cut(text, "/"); ok {
				r.protocol, rest = strings.ToLower(protocol), after
			}
			first, last, isRange := strings.Cut(rest, "-")
			from, err := strconv.ParseUint(first, 10, 16)
			to, err2 := from, error(nil)
			if isRange {
				to, err2 = strconv.ParseUint(last, 10, 16)
			}
			if err != nil || err2 != nil || from < 1 || to < from || r.protocol != "tcp" && r.protocol != "udp" {
				return nil, &compute.Error{
					ID: compute.ID(d.Name), Kind: compute.ErrInvalid,
					Err: fmt.Errorf("%q is no port: write 22, 8000-8010 or udp/53", text),
				}
			}
			r.from, r.to = int32(from), int32(to)
			out = append(out, r)
		}
		out = append(out, rule{e.icmp, -1, -1, e.source})
	}
	slices.SortFunc(out, func(a, b rule) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out), nil
}

// permission converts a rule for EC2.
func (r rule) permission(group string) types.IpPermission {
	p := types.IpPermission{IpProtocol: aws.String(r.protocol), FromPort: aws.Int32(r.from), ToPort: aws.Int32(r.to)}
	switch {
	case r.source == "":
		p.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: aws.String(group)}}
	case strings.HasPrefix(r.source, "sg-"):
		p.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: aws.String(r.source)}}
	case strings.HasPrefix(r.source, "pl-"):
		p.PrefixListIds = []types.PrefixListId{{PrefixListId: aws.String(r.source)}}
	case strings.Contains(r.source, ":"):
		p.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: aws.String(r.source)}}
	default:
		p.IpRanges = []types.IpRange{{CidrIp: aws.String(r.source)}}
	}
	return p
}

// rulesOf returns a group's rules. EC2 may join several networks, groups or lists in one.
func rulesOf(g types.SecurityGroup) (out []rule) {
	for _, p := range g.IpPermissions {
		r := rule{protocol: aws.ToString(p.IpProtocol), from: -1, to: -1}
		if p.FromPort != nil {
			r.from = *p.FromPort
		}
		if p.ToPort != nil {
			r.to = *p.ToPort
		}
		add := func(source string) {
			r.source = source
			out = append(out, r)
		}
		for _, x := range p.IpRanges {
			add(aws.ToString(x.CidrIp))
		}
		for _, x := range p.Ipv6Ranges {
			add(aws.ToString(x.CidrIpv6))
		}
		for _, x := range p.PrefixListIds {
			add(aws.ToString(x.PrefixListId))
		}
		for _, x := range p.UserIdGroupPairs {
			if id := aws.ToString(x.GroupId); id != aws.ToString(g.GroupId) {
				add(id)
			} else {
				add("")
			}
		}
	}
	return out
}

// groups returns the security groups that match the filters.
func (p *Place) groups(ctx context.Context, filters ...types.Filter) (all []types.SecurityGroup, err error) {
	c, err := p.session.API(ctx)
	if err != nil {
		return nil, err
	}
	for g, err := range c.Groups.All(ctx, filters...) {
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

// ensureGroup makes the security group with exactly these rules.
func (p *Place) ensureGroup(
	ctx context.Context, d Deployment, vpc string, rules []rule, tell func(did, kind, name string),
) (string, error) {
	c, err := p.session.API(ctx)
	if err != nil {
		return "", err
	}
	name := d.Name
	filters := []types.Filter{session.Filter("group-name", name)}
	if vpc != "" {
		filters = append(filters, session.Filter("vpc-id", vpc))
	}
	made := "" // the id of a new one
	for end := time.Now().Add(settle); ; {
		all, err := p.groups(ctx, filters...)
		if err != nil {
			return "", err
		}
		if len(all) > 1 {
			return "", &compute.Error{
				ID: compute.ID(name), Kind: compute.ErrConflict,
				Err:  fmt.Errorf("there are %d security groups of this name, in as many networks", len(all)),
				Hint: "name subnets, so that it is clear which network is meant",
			}
		}
		if len(all) == 1 {
			if made != "" {
				tell("made", "security group", name)
			}
			return aws.ToString(all[0].GroupId), p.reconcile(ctx, c, all[0], d, rules, tell)
		}
		if d.DryRun {
			tell("would make", "security group", name)
			return "", nil
		}
		if made == "" {
			in := &ec2.CreateSecurityGroupInput{
				GroupName: aws.String(name), Description: aws.String("of hostler"),
				TagSpecifications: p.marked(types.ResourceTypeSecurityGroup, name),
			}
			if vpc != "" {
				in.VpcId = aws.String(vpc)
			}
			out, err := c.Groups.Create(ctx, in)
			switch {
			case err == nil:
				made = aws.ToString(out.GroupId)
			case session.Why(err) != session.Conflicting: // else another process was faster
				return "", err
			}
		}
		if time.Now().After(end) {
			return "", &compute.Error{
				ID: compute.ID(name), Kind: compute.ErrTimeout,
				Err: errors.New("the security group was made, and is not listed"), Hint: "try again",
			}
		}
		if err := session.Pause(ctx, min(p.session.Poll, time.Second)); err != nil {
			return "", err
		}
	}
}

// reconcile gives a group exactly the wanted rules. It adds the missing ones first, so that nobody
// with access is locked out.
func (p *Place) reconcile(
	ctx context.Context, c *session.Calls, g types.SecurityGroup, d Deployment, want []rule, tell func(did, kind, name string),
) error {
	name, has := d.Name, rulesOf(g)
	missing := slices.DeleteFunc(slices.Clone(want), func(r rule) bool { return slices.Contains(has, r) })
	odd := slices.DeleteFunc(slices.Clone(has), func(r rule) bool { return slices.Contains(want, r) })
	id := aws.ToString(g.GroupId)
	switch ours, others := p.isOurs(g.Tags, name); {
	case others:
		return &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("the security group %s is of another deployment, or of another installation of hostler", id),
			Hint: "take another name",
		}
	case !ours && len(missing) > 0:
		return &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("the security group %s was not made by hostler, and does not let in %s", id, missing[0]),
			Hint: "add that to it, take another name, or ask for no ports",
		}
	case !ours:
		return nil
	}
	if d.DryRun {
		for _, r := range missing {
			tell("would make", "security group rule", r.String())
		}
		for _, r := range odd {
			tell("would delete", "security group rule", r.String())
		}
		return nil
	}
	for _, r := range missing {
		_, err := c.Groups.Authorize(
			ctx,
			&ec2.AuthorizeSecurityGroupIngressInput{GroupId: g.GroupId, IpPermissions: []types.IpPermission{r.permission(id)}},
		)
		if err != nil && session.Why(err) != session.Conflicting { // another process was faster
			return fmt.Errorf("let in %s: %w", r, err)
		}
		tell("made", "security group rule", r.String())
	}
	for _, r := range odd {
		_, err := c.Groups.Revoke(
			ctx,
			&ec2.RevokeSecurityGroupIngressInput{GroupId: g.GroupId, IpPermissions: []types.IpPermission{r.permission(id)}},
		)
		if err != nil && session.Why(err) != session.Missing {
			return fmt.Errorf("let in %s no more: %w", r, err)
		}
		tell("deleted", "security group rule", r.String())
	}
	return nil
}
