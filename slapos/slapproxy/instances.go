package slapproxy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// titlesSince is the schema version in which requested_by became the title of the root. Before it
// was the partition of the requester.
const titlesSince = 17

// place finds the partitions that have an instance.
func (r *reader) place() {
	for _, one := range r.rows["partition"] {
		p := &usedPartition{row: one, computer: r.computerOf(one, "computer_reference"), partition: one.text("reference")}
		state, release := one.text("slap_state"), one.text("software_release")
		switch {
		case r.places[p.key()] != nil:
			continue // as was said
		case state == "busy" && release == "":
			r.note("%s is busy without a release: it is taken for free", p)
			continue
		case state != "busy":
			if state != "free" {
				r.note("%s is neither free nor busy, but %q: it is taken for free", p, state)
			}
			continue
		}
		r.places[p.key()] = p
		r.order = append(r.order, p)
	}
}

func (p *usedPartition) key() [2]string { return [2]string{p.computer, p.partition} }

func (p *usedPartition) title() string { return cmp.Or(p.text("partition_reference"), p.partition) }

func (p *usedPartition) String() string { return p.partition + " of " + p.computer }

// findRequesters finds the requester of each instance.
func (r *reader) findRequesters() {
	for _, p := range r.order {
		if p.text("requested_by") == "" && r.titles[p.title()] == nil {
			r.titles[p.title()] = p
		}
	}
	for _, p := range r.order {
		by := p.text("requested_by")
		if by == "" {
			continue
		}
		if p.parent = r.requesterOf(p.computer, by); p.parent == nil || p.parent == p {
			p.parent = nil
			r.note("instance %s in %s was asked for by %s, which is not there: it is taken as a root", p.title(), p, by)
		}
	}
	for _, p := range r.order {
		seen := map[*usedPartition]bool{}
		for up := p; up != nil; up = up.parent {
			if seen[up] {
				r.note(
					"instance %s in %s was asked for by %s, and that by it: it is taken as a root", up.title(), up,
					up.text("requested_by"),
				)
				up.parent = nil
				break
			}
			seen[up] = true
		}
	}
}

// requesterOf is the instance that a column means: the root of that title, or, before version
// 17, that in the partition.
func (r *reader) requesterOf(computer, by string) *usedPartition {
	title, partition := r.titles[by], r.places[[2]string{computer, by}]
	if r.version >= titlesSince {
		return cmp.Or(title, partition)
	}
	return cmp.Or(partition, title)
}

// make makes the record of an instance, after that of its requester.
func (r *reader) make(p *usedPartition) *instance {
	if n := r.made[p]; n != nil {
		return n
	}
	n := &instance{at: p, Instance: record.Instance{ID: newID(), Title: p.title(), Owner: r.opt.Owner,
		Release: p.text("software_release"),
		Type:    cmp.Or(p.text("software_type"), "default"), Asked: r.state(p), Placement: record.Placement{
			Computer: p.computer, Partition: p.partition,
		}, Stamp: stamp(p.row["timestamp"])}}
	n.State = n.Asked
	what := fmt.Sprintf("instance %s in %s", n.Title, p)
	n.Parameters, n.Connection = r.document(what, "parameters", p.text("xml")), r.document(
		what, "connection parameters", p.text("connection_xml"),
	)
	if p.text("partition_reference") == "" {
		r.note("%s has no title: it gets that of its partition", what)
	}
	tree := ""
	n.Root = n.ID
	if p.parent != nil {
		parent := r.make(p.parent)
		tree, n.Root, n.Parent = parent.Root, parent.Root, parent.ID
		if n.State = stricterState(n.Asked, parent.State); n.State != n.Asked {
			r.note("%s was %s in a tree that is %s: it is %[3]s too", what, n.Asked, parent.State)
		}
	}
	if r.named[[2]string{tree, n.Title}] {
		n.Title = fmt.Sprintf("%s (%s)", n.Title, p)
		r.note("%s: another has that title; it gets the title %s", what, n.Title)
	}
	r.named[[2]string{tree, n.Title}] = true
	r.add(n)
	r.made[p] = n
	return n
}

// add appends a record, which is younger than all before.
func (r *reader) add(n *instance) {
	n.Created = r.now.Add(time.Duration(len(r.instances)) * time.Microsecond)
	r.instances = append(r.instances, n)
}

// state returns the wanted state; an empty or unknown one is started.
func (r *reader) state(p *usedPartition) string {
	switch state := p.text("requested_state"); state {
	case proto.Started, proto.Stopped, proto.Destroyed:
		return state
	case "":
	default:
		r.note("instance %s in %s: its state %q is not known; it is taken for started", p.title(), p, state)
	}
	return proto.Started
}

var severity = map[string]int{proto.Started: 0, proto.Stopped: 1, proto.Destroyed: 2}

func stricterState(a, b string) string {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// document is an <instance> document; "" if it cannot be read.
func (r *reader) document(what, of, text string) string {
	if _, err := proto.ParseParameters(text); err != nil {
		r.note("%s: its %s cannot be read, and are not taken: %s", what, of, strings.TrimPrefix(err.Error(), "slap: "))
		return ""
	}
	return text
}

// readShared takes the shared instances that hosts have. Those that only have a row have no release
// or parameters any more.
func (r *reader) readShared() {
	for _, one := range r.rows["slave"] {
		r.slaves[[2]string{r.computerOf(one, "computer_reference"), one.text("reference")}] = one
	}
	for _, p := range r.order {
		list := p.text("slave_instance_list")
		if list == "" {
			continue
		}
		v, err := proto.Unmarshal([]byte(list))
		all, ok := v.(proto.List)
		if err == nil && !ok {
			err = fmt.Errorf("it is no list")
		}
		if err != nil {
			r.note(
				"instance %s in %s: the list of its shared instances cannot be read, and none of them is taken: %s",
				p.title(), p, strings.TrimPrefix(err.Error(), "slap: "),
			)
			continue
		}
		for _, item := range all {
			if d, ok := item.(proto.Dictionary); ok {
				r.shared(r.made[p], d)
			} else {
				r.note("instance %s in %s: one of its shared instances cannot be read; it is not taken", p.title(), p)
			}
		}
	}
	for _, one := range r.rows["slave"] {
		if at := [2]string{r.computerOf(one, "computer_reference"), one.text("reference")}; !r.hosted[at] {
			r.note("shared instance %s on %s: no instance has it, as it was destroyed or its host is gone; it is not taken", at[1], at[0])
		}
	}
}

// shared makes the record of one shared instance, which is an entry in its host's row.
func (r *reader) shared(host *instance, d proto.Dictionary) {
	reference, _ := d["slave_reference"].(string)
	if reference == "" {
		reference, _ = d["slave_title"].(string)
	}
	at := [2]string{host.Computer, reference}
	what := fmt.Sprintf("shared instance %s in %s", reference, host.at)
	switch {
	case reference == "":
		r.note("%s has no reference; it is not taken", what)
		return
	case r.hosted[at]:
		r.note("%s: another instance has it too; it is not taken twice", what)
		return
	}
	r.hosted[at] = true
	n := &instance{Instance: record.Instance{ID: newID(), Shared: true, Owner: r.opt.Owner,
		Release: host.Release, Asked: proto.Started, State: proto.Started,
		Placement: record.Placement{Computer: host.Computer, Host: host.ID}, Stamp: host.Stamp}}
	n.Type, _ = d["slap_software_type"].(string)
	n.Type = cmp.Or(n.Type, host.Type)
	parameters := proto.Dictionary{}
	for name, value := range d {
		if value == nil {
			value = ""
		}
		parameters[name] = value
	}
	for _, name := range []string{"slave_reference", "slave_title", "slap_software_type", "timestamp"} {
		delete(parameters, name)
	}
	var err error
	if n.Parameters, err = proto.FormatParameters(parameters); err != nil {
		r.note("%s: its parameters cannot be kept, and are not taken: %s", what, strings.TrimPrefix(err.Error(), "slap: "))
	}
	one, known := r.slaves[at]
	n.Connection = r.document(what, "connection parameters", one.text("connection_xml"))
	by := one.text("asked_by")
	if !known {
		by = r.requesterByName(host.Computer, reference)
		r.note("%s has no row of its own: by its name it was asked for by %s", what, cmp.Or(by, "a user"))
	}
	title, fits := strings.CutPrefix(reference, by+"_")
	if !fits || title == "" {
		r.note("%s was asked for by %s, which its name does not begin with: it is taken as a root", what, cmp.Or(by, "a user"))
		by, title = "", reference
	}
	n.Title, n.Root = title, n.ID
	tree := ""
	if by != "" {
		if p := r.requesterOf(host.Computer, by); p != nil {
			asker := r.made[p]
			if asker.State == proto.Destroyed {
				r.note("%s is of a tree that is destroyed; it is not taken", what)
				return
			}
			tree, n.Root, n.Parent = asker.Root, asker.Root, asker.ID
			if root := r.rootTitle(asker); root != by {
				r.note("%s is called %s_%s from now on: that is the title of its root", what, root, title)
			}
		} else {
			r.note("%s was asked for by %s, which is not there: it is taken as a root", what, by)
		}
	}
	if name := [2]string{"shared " + tree, n.Title}; r.named[name] {
		n.Title = fmt.Sprintf("%s (%s)", n.Title, host.at)
		r.note("%s: another has that title; it gets the title %s", what, n.Title)
	}
	r.named[[2]string{"shared " + tree, n.Title}] = true
	r.add(n)
}

func (r *reader) rootTitle(n *instance) string {
	at := slices.IndexFunc(r.instances, func(other *instance) bool { return other.ID == n.Root })
	return r.instances[at].Title
}

// requesterByName finds the requester of a shared instance by its name: the longest title that
// the name begins with; "": a user.
func (r *reader) requesterByName(computer, reference string) (by string) {
	for i, c := range reference {
		if c == '_' && i > 0 && r.requesterOf(computer, reference[:i]) != nil {
			by = reference[:i]
		}
	}
	return by
}
