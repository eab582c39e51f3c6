package ec2test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// keys are the key pairs, by name.
type keys struct {
	ids *ids
	all map[string]*keyPair
}

type keyPair struct {
	id, name, public string
	tags             map[string]string
}

// describeKeyPairs includes the public keys only if the request asks for them.
func (r *keys) describeKeyPairs(f form) ([]elem, *Fault) {
	names := f.list("KeyName")
	var found []*keyPair
	for _, n := range names {
		if r.all[n] == nil {
			return nil, fault("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", n)
		}
	}
	for _, n := range sortedKeys(r.all) {
		k := r.all[n]
		ok, bad := f.filters(map[string]string{"key-name": n}, k.tags)
		if bad != nil {
			return nil, bad
		}
		if ok && (len(names) == 0 || slices.Contains(names, n)) {
			found = append(found, k)
		}
	}
	return []elem{set("keySet", found, func(k *keyPair) []elem {
		out := []elem{tx("keyPairId", k.id), tx("keyName", k.name), tx("keyType", "ed25519"), tagSet(k.tags)}
		if f.is("IncludePublicKey") {
			out = append(out, tx("publicKey", k.public))
		}
		return out
	})}, nil
}

// importKeyPair checks of a key only that its text begins with "ssh-".
func (r *keys) importKeyPair(f form) ([]elem, *Fault) {
	name := f.get("KeyName")
	if r.all[name] != nil {
		return nil, fault("InvalidKeyPair.Duplicate", "The keypair already exists")
	}
	public, err := base64.StdEncoding.DecodeString(f.get("PublicKeyMaterial"))
	if err != nil || !strings.HasPrefix(string(public), "ssh-") {
		return nil, fault("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
	}
	k := &keyPair{id: r.ids.next("key"), name: name, public: string(public), tags: f.tags("key-pair")}
	r.all[name] = k
	return []elem{tx("keyPairId", k.id), tx("keyName", name), tagSet(k.tags)}, nil
}

func (r *keys) deleteKeyPair(f form) ([]elem, *Fault) {
	for n, k := range r.all {
		if n == f.get("KeyName") || k.id == f.get("KeyPairId") {
			delete(r.all, n)
		}
	}
	return []elem{tx("return", true)}, nil // no error if there is none, as with EC2
}

// AddKey makes a key pair of somebody else's.
func (c *Cloud) AddKey(name, public string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys.all[name] = &keyPair{id: c.ids.next("key"), name: name, public: public, tags: map[string]string{}}
}

// groups are the security groups, by id.
type groups struct {
	ids *ids
	all map[string]*group
}

type group struct {
	id, name, vpc, about string
	rules                []rule
	tags                 map[string]string
}

type rule struct{ protocol, from, to, cidr string } // cidr may be a group's id

// describeSecurityGroups returns each rule as a permission of its own. EC2 would join those of
// the same ports.
func (w *groups) describeSecurityGroups(f form) ([]elem, *Fault) {
	ids := f.list("GroupId")
	for _, id := range ids {
		if w.all[id] == nil {
			return nil, fault("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
		}
	}
	var found []*group
	for _, id := range sortedKeys(w.all) {
		g := w.all[id]
		ok, bad := f.filters(map[string]string{"group-name": g.name, "group-id": g.id, "vpc-id": g.vpc}, g.tags)
		if bad != nil {
			return nil, bad
		}
		if ok && (len(ids) == 0 || slices.Contains(ids, id)) {
			found = append(found, g)
		}
	}
	return []elem{set("securityGroupInfo", found, func(g *group) []elem {
		return []elem{tx("ownerId", Account), tx("groupId", g.id), tx("groupName", g.name),
			tx("groupDescription", g.about), tx("vpcId", g.vpc), tagSet(g.tags),
			set("ipPermissions", g.rules, func(r rule) []elem {
				ranges, cidr := "ipRanges", "cidrIp"
				if strings.Contains(r.cidr, ":") {
					ranges, cidr = "ipv6Ranges", "cidrIpv6"
				} else if strings.HasPrefix(r.cidr, "sg-") {
					ranges, cidr = "groups", "groupId"
				}
				return []elem{
					tx("ipProtocol", r.protocol), tx("fromPort", r.from), tx("toPort", r.to),
					set(ranges, []string{r.cidr}, func(s string) []elem { return []elem{tx(cidr, s)} }),
				}
			})}
	})}, nil
}

// createSecurityGroup refuses a name that the VPC has already. A group without a VPC goes into
// the default one.
func (w *groups) createSecurityGroup(f form) ([]elem, *Fault) {
	g := &group{
		name: f.get("GroupName"), vpc: cmp.Or(f.get("VpcId"), vpc), about: f.get("GroupDescription"),
		tags: f.tags("security-group"),
	}
	for _, other := range w.all {
		if other.name == g.name && other.vpc == g.vpc {
			return nil, fault("InvalidGroup.Duplicate", "The security group '%s' already exists", g.name)
		}
	}
	g.id = w.ids.next("sg")
	w.all[g.id] = g
	return []elem{tx("return", true), tx("groupId", g.id), tagSet(g.tags)}, nil
}

// deleteSecurityGroup refuses a group of an instance that has not terminated.
func (c *Cloud) deleteSecurityGroup(f form) ([]elem, *Fault) {
	g := c.groups.all[f.get("GroupId")]
	if g == nil {
		return nil, fault("InvalidGroup.NotFound", "The security group '%s' does not exist", f.get("GroupId"))
	}
	for _, i := range c.fleet.all {
		if i.state != "terminated" && slices.Contains(i.groups, g.id) {
			return nil, fault("DependencyViolation", "resource %s has a dependent object", g.id)
		}
	}
	delete(c.groups.all, g.id)
	return []elem{tx("return", true)}, nil
}

// rules returns the rules in a request.
func (f form) rules() (out []rule) {
	for _, p := range f.structs("IpPermissions") {
		r := rule{protocol: f.get(p + "IpProtocol"), from: f.get(p + "FromPort"), to: f.get(p + "ToPort")}
		for _, q := range f.structs(p + "IpRanges") {
			r.cidr = f.get(q + "CidrIp")
			out = append(out, r)
		}
		for _, q := range f.structs(p + "Groups") {
			r.cidr = f.get(q + "GroupId")
			out = append(out, r)
		}
		for _, q := range f.structs(p + "Ipv6Ranges") {
			r.cidr = f.get(q + "CidrIpv6")
			out = append(out, r)
		}
	}
	return out
}

// authorize adds ingress rules. The rules before a duplicate stay.
func (w *groups) authorize(f form) ([]elem, *Fault) {
	g := w.all[f.get("GroupId")]
	if g == nil {
		return nil, fault("InvalidGroup.NotFound", "The security group '%s' does not exist", f.get("GroupId"))
	}
	for _, r := range f.rules() {
		if slices.Contains(g.rules, r) {
			return nil, fault(
				"InvalidPermission.Duplicate", "the specified rule \"peer: %s, %s, from port: %s\" already exists",
				r.cidr, r.protocol, r.from,
			)
		}
		g.rules = append(g.rules, r)
	}
	return []elem{tx("return", true)}, nil
}

// revoke removes ingress rules, and ignores those that the group lacks.
func (w *groups) revoke(f form) ([]elem, *Fault) {
	g := w.all[f.get("GroupId")]
	if g == nil {
		return nil, fault("InvalidGroup.NotFound", "The security group '%s' does not exist", f.get("GroupId"))
	}
	gone := f.rules()
	g.rules = slices.DeleteFunc(g.rules, func(r rule) bool { return slices.Contains(gone, r) })
	return []elem{tx("return", true)}, nil
}

// AddGroup makes a security group of somebody else's, and returns its id.
func (c *Cloud) AddGroup(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := &group{id: c.ids.next("sg"), name: name, vpc: vpc, tags: map[string]string{}}
	c.groups.all[g.id] = g
	return g.id
}

// Let adds a rule to a security group, as a user may by hand.
func (c *Cloud) Let(group, protocol, port, cidr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups.all[group].rules = append(c.groups.all[group].rules, rule{protocol, port, port, cidr})
}

// Rules returns the rules of the security group with a name, one in a line.
func (c *Cloud) Rules(name string) (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.groups.all {
		if g.name != name {
			continue
		}
		for _, r := range g.rules {
			out = append(out, fmt.Sprintf("%s %s-%s %s", r.protocol, r.from, r.to, r.cidr))
		}
	}
	slices.Sort(out)
	return out
}
