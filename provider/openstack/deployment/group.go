package deployment

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"

	"github.com/hostler-project/hostler/compute"
)

// rule is what one rule of a security group allows.
type rule struct {
	ether    string // IPv4 or IPv6
	protocol string
	min, max int
	from     string
}

// String words the rule for messages, such as "tcp 22-23 from 10.0.0.0/8". A least port of 0
// stands for all ports.
func (r rule) String() string {
	what := r.protocol
	if r.min > 0 {
		what += fmt.Sprintf(" %d", r.min)
	}
	if r.max > r.min {
		what += fmt.Sprintf("-%d", r.max)
	}
	return what + " from " + r.from
}

// wanted returns the rules for the settings: each port, and ICMP, from each range.
func (s Settings) wanted() (out []rule) {
	from := s.From
	if len(from) == 0 {
		from = []string{s.CIDR}
		if s.CIDR6 != "" {
			from = append(from, s.CIDR6)
		}
	}
	for _, text := range from {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			continue // complete has refused this
		}
		r := rule{ether: "IPv4", from: prefix.Masked().String()}
		icmp := "icmp"
		if prefix.Addr().Is6() {
			r.ether, icmp = "IPv6", "ipv6-icmp"
		}
		for _, text := range s.Ports {
			p, err := parsePort(text)
			if err != nil {
				continue
			}
			r.protocol, r.min, r.max = p.protocol, p.min, p.max
			out = append(out, r)
		}
		r.protocol, r.min, r.max = icmp, 0, 0
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b rule) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

// of returns what a rule of the cloud allows. ok is false for a rule that is not about incoming
// traffic.
func of(r rules.SecGroupRule) (out rule, ok bool) {
	out = rule{r.EtherType, strings.ToLower(r.Protocol), r.PortRangeMin, r.PortRangeMax, cmp.Or(r.RemoteIPPrefix, r.RemoteGroupID)}
	if out.protocol == "icmpv6" || out.protocol == "58" {
		out.protocol = "ipv6-icmp"
	}
	if out.from == "" { // from any address
		out.from = map[string]string{"IPv4": "0.0.0.0/0", "IPv6": "::/0"}[r.EtherType]
	}
	return out, r.Direction == "ingress"
}

// group makes the security group with exactly the wanted rules, if any ports are wanted.
func (w *work) group(ctx context.Context) error {
	name := w.opt.Name
	if len(w.rec.Settings.Ports) == 0 {
		return nil
	}
	var all []groups.SecGroup
	id, made, err := w.ensure(ctx, part{
		kind: Group, name: name, plural: "security-groups",
		find: func(ctx context.Context) (out []candidate, err error) {
			all, err = list(
				ctx, groups.List(w.cloud.Network, groups.ListOpts{Name: name, ProjectID: w.cloud.Project}),
				groups.ExtractGroups,
			)
			for _, g := range all {
				out = append(out, candidate{g.ID, g.CreatedAt, g.Description, g.Tags})
			}
			return out, err
		},
		make: func(ctx context.Context) (string, error) {
			g, err := groups.Create(ctx, w.cloud.Network, groups.CreateOpts{Name: name, Description: w.mark.text()}).Extract()
			if err != nil {
				return "", err
			}
			return g.ID, nil
		},
		drop: func(ctx context.Context, id string) error {
			return groups.Delete(ctx, w.cloud.Network, id).ExtractErr()
		},
	})
	if err != nil {
		return err
	}
	var has []rules.SecGroupRule
	if id != "" {
		if has, err = list(ctx, rules.List(w.cloud.Network, rules.ListOpts{SecGroupID: id}), rules.ExtractRules); err != nil {
			return failed("look for rules of "+Group, name, err)
		}
	}
	return w.rules(ctx, id, made, has)
}

// rules gives a group exactly the wanted incoming rules.
func (w *work) rules(ctx context.Context, group string, made bool, has []rules.SecGroupRule) error {
	missing := w.rec.Settings.wanted()
	var odd []rules.SecGroupRule
	for _, r := range has {
		what, in := of(r)
		i := slices.Index(missing, what)
		switch {
		case !in:
		case i >= 0:
			missing = slices.Delete(missing, i, i+1)
		default:
			odd = append(odd, r)
		}
	}
	if !made {
		if len(missing) == 0 {
			return nil
		}
		return &compute.Error{
			ID: compute.ID(w.opt.Name), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("the security group %s was not made by hostler, and does not let in %v", group, missing[0]),
			Hint: "add that to it, take another name, or ask for no ports",
		}
	}
	for _, r := range missing {
		if w.opt.DryRun {
			w.tell(wouldMake, Rule, r.String(), "", "")
			continue
		}
		got, err := rules.Create(ctx, w.cloud.Network, rules.CreateOpts{
			Direction: rules.DirIngress, EtherType: rules.RuleEtherType(r.ether), SecGroupID: group,
			Protocol:     rules.RuleProtocol(r.protocol),
			PortRangeMin: r.min, PortRangeMax: r.max, RemoteIPPrefix: r.from, Description: w.mark.text(),
		}).Extract()
		// another process was faster
		if isConflict(err) && strings.Contains(err.Error(), "SecurityGroupRuleExists") {
			continue
		}
		if err != nil {
			return failed("make "+Rule, r.String(), err)
		}
		w.tell(Made, Rule, r.String(), got.ID, "")
	}
	for _, r := range odd {
		what, _ := of(r)
		if w.opt.DryRun {
			w.tell(WouldDrop, Rule, what.String(), r.ID, "nothing asks for it")
			continue
		}
		if err := rules.Delete(ctx, w.cloud.Network, r.ID).ExtractErr(); err != nil && !isGone(err) {
			return failed("delete "+Rule, what.String(), err)
		}
		w.tell(Deleted, Rule, what.String(), r.ID, "nothing asks for it")
	}
	return nil
}
