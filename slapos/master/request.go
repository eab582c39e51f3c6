package master

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// An Answer is the answer to a request: an instance of ours, another master's answer, or an object
// that only looks like an instance.
type Answer struct {
	Record *record.Instance // of ours; nil where Object is set
	proto.Instance
	Stamp  int64         // of the instance, or of a shared one's host
	Object *proto.Object // to be answered as it is

	CacheKey *CacheKey // nil: it is not to be kept
}

// Value is the answer as the legacy endpoint gives it.
func (a *Answer) Value() *proto.Object {
	if a.Object != nil {
		return a.Object
	}
	return a.Instance.Object()
}

// requestState is a request on its way.
type requestState struct {
	*proto.Request
	m               *requests
	who             access.Who
	parameters      string
	filter          map[string]string
	parametersGiven bool // the parameters are those that it is to have, though there are none
	now             time.Time

	caller      *record.Instance // nil: a user asks
	found       *record.Instance // as it was
	parentState string           // its parent's state, which limits its own
	result
}

// A result is what a request has come to.
type result struct {
	kind    resultKind
	made    *record.Instance // placed: as it is now
	last    *Answer          // forgotten: the answer
	refusal *access.Refusal  // refused: why there is no place
}

type resultKind int

const (
	undecided resultKind = iota
	placed               // the instance has its place, and is as the request says
	refused              // there is no place for it, for now
	forgotten            // the instance was destroyed, and its record is gone
	passOn               // another master is asked
)

// Request asks for an instance, or for a change of one. Without a place the error is
// compute.ErrNoCapacity, with the reason. The instance is kept with it, and a later request places
// it. A request that changes nothing writes nothing.
func (m *requests) Request(ctx context.Context, who access.Who, q *proto.Request) (*Answer, error) {
	a, err := m.prepare(who, q)
	if err != nil {
		return nil, err
	}
	if object := m.frontend(ctx, a); object != nil {
		return &Answer{Object: object}, nil
	}
	to := m.otherMaster(ctx, a)
	wrote, err := m.ledger.ReadOrUpdate(ctx, func(b ledger.View) error {
		a.caller, a.found, a.result = nil, nil, result{}
		return a.decide(b, to != nil)
	})
	if err != nil {
		return nil, err
	}
	if a.kind == passOn {
		return m.passOn(ctx, a, to)
	}
	return m.finish(ctx, a, wrote)
}

// finish answers a request that was decided here.
func (m *requests) finish(ctx context.Context, a *requestState, wrote bool) (*Answer, error) {
	switch a.kind {
	case refused:
		return nil, a.refusal
	case forgotten:
		return a.last, nil
	}
	if wrote {
		if err := m.ledger.Refresh(ctx); err != nil {
			return nil, err
		}
	}
	return m.answer(a)
}

// filters are the names that a filter can have, with the longest value of each. Other names in one
// are kept and ignored.
var filters = map[string]int{
	"computer_guid": access.MaxID, "instance_guid": access.MaxURL, "network_guid": access.MaxID, "project_guid": access.MaxID,
}

// prepare checks a request by itself, without the state.
func (m *requests) prepare(who access.Who, q *proto.Request) (*requestState, error) {
	a := &requestState{Request: q, m: m, who: who, now: time.Now().UTC(), filter: map[string]string{}}
	if err := cmp.Or(
		access.CheckName("partition_reference", q.Title, access.MaxTitle),
		access.CheckName("software_release", q.Release, access.MaxURL),
	); err != nil {
		return nil, err
	}
	copied := *q
	if copied.Type == "" {
		copied.Type = ledger.DefaultType
	}
	a.Request = &copied
	if err := access.CheckName("software_type", a.Type, access.MaxTitle); err != nil {
		return nil, err
	}
	err := stateNamed(q.State)
	if err != nil {
		return nil, err
	}
	if a.parameters, err = proto.FormatParameters(q.Parameters); err != nil {
		return nil, access.Malformed(err)
	}
	if q.Project != "" {
		if err := access.CheckName("project_reference", q.Project, access.MaxID); err != nil {
			return nil, err
		}
	}
	for k, v := range q.Filter {
		a.filter[k] = fmt.Sprint(v)
		if most := filters[k]; most > 0 && a.filter[k] != "" {
			if err := access.CheckName(k, a.filter[k], most); err != nil {
				return nil, err
			}
		}
	}
	if who.Project != "" && q.Project != "" && q.Project != who.Project {
		return nil, access.Denied("You ask in the project %s, so it cannot be for the project %s.", who.Project, q.Project)
	}
	if (q.Computer == "") != (q.Partition == "") {
		return nil, access.Invalid("computer_id and computer_partition_id go together")
	}
	if who.Instance != "" {
		return a, nil // it is seen later whether it asks as itself
	}
	if q.Computer != "" {
		return a, who.Speaks(q.Computer)
	}
	if who.Computer != "" {
		return nil, access.Denied("A computer asks for instances only for what runs on it.")
	}
	return a, nil
}

// decide finds the instance and changes it, or finds a place for a new one. Where the request is to
// be passed on, it does nothing.
func (a *requestState) decide(b ledger.View, elsewhere bool) error {
	if err := a.findAndChange(b, elsewhere); err != nil || a.kind != placed {
		return err
	}
	return a.m.allocation.checkDocument(b, a.found, a.made)
}

// findAndChange finds the caller and the instance, and then changes, moves or places that.
func (a *requestState) findAndChange(b ledger.View, elsewhere bool) (err error) {
	if a.Computer != "" {
		if a.caller, err = b.At(a.Computer, a.Partition); err != nil {
			return err
		}
	}
	if a.who.Instance != "" {
		said := a.caller
		if a.caller, err = b.Instance(a.who.Instance); err != nil {
			return err
		}
		if a.caller == nil || a.Computer != "" && (said == nil || said.ID != a.caller.ID) {
			return access.Denied("An instance asks only for itself.")
		}
	}
	// a caller without anything of its own would be taken for a user
	if a.caller == nil && a.who.User == "" && !a.who.All {
		return access.Denied("A computer asks for instances only for what runs on it.")
	}
	if a.found, err = b.Named(a.name()); err != nil {
		return err
	}
	if a.parentState, err = a.callerState(b); err != nil {
		return err
	}
	if a.found == nil || a.parameters != a.found.Parameters {
		if err := checkLength("parameters", a.parameters); err != nil {
			return err
		}
	}
	if err := checkFilterLength(a.filter); err != nil {
		return err
	}
	hasPlace := a.found != nil && (a.found.Partition != "" || a.found.Shared && a.found.Host != "")
	switch {
	case hasPlace && a.Shared:
		return a.changeShared(b)
	case hasPlace:
		return a.change(b)
	case a.caller != nil && a.caller.State == proto.Destroyed:
		return access.Refuse(compute.ErrNotFound, "The tree of %s is being destroyed: it gets no new instance %s.", a.caller.Title, a.Title)
	case elsewhere:
		a.kind = passOn
		return nil
	case a.State == proto.Destroyed:
		return a.forgetUnplaced(b)
	case a.Shared:
		return a.share(b)
	}
	return a.place(b)
}

func (a *requestState) name() string {
	if a.caller != nil {
		return ledger.ChildName(a.caller.Root, a.Title, a.Shared)
	}
	return ledger.RootName(a.who.User, a.project(), a.Title, a.Shared)
}

func (a *requestState) project() string {
	if a.Project != "" {
		return a.Project
	}
	return a.who.Project
}

// newInstance is the record of a new instance, without its place.
func (a *requestState) newInstance() *record.Instance {
	n := &record.Instance{
		ID: access.NewID("INST-"), Title: a.Title, Shared: a.Shared, Owner: a.who.User, Project: a.project(), Created: a.now,
	}
	if a.found != nil {
		*n = *a.found // there was no place for it then
	} else if n.Root = n.ID; a.caller != nil {
		n.Root, n.Parent, n.Owner, n.Project = a.caller.Root, a.caller.ID, a.caller.Owner, a.caller.Project
	}
	if !a.onlyStateChanges() {
		n.Parameters = a.parameters
	}
	n.Release, n.Type, n.Filter = a.Release, a.Type, a.filter
	n.Asked = a.State
	if n.Asked == "" || a.Shared { // which is in no other state
		n.Asked = proto.Started
	}
	n.State = a.limitedState(n.Asked)
	n.Reason, n.Beyond = "", false
	return n
}

// limitedState is the wanted state for a requested one, as its parent limits it.
func (a *requestState) limitedState(asked string) string { return stricterState(asked, a.parentState) }

// callerState is the state of the root, or of the instance that asked first, whichever is less
// alive: no other in the tree stops or destroys it by a request.
func (a *requestState) callerState(b ledger.View) (string, error) {
	if a.caller == nil {
		return proto.Started, nil
	}
	of := []string{a.caller.Root, a.caller.ID}
	if a.found != nil {
		of[1] = a.found.Parent
	}
	state := proto.Started
	for _, id := range of {
		n := a.caller
		if id != n.ID {
			var err error
			if n, err = b.Instance(id); err != nil {
				return "", err
			}
		}
		if n != nil { // else the one that asked is gone
			state = stricterState(state, n.State)
		}
	}
	return state, nil
}

var severity = map[string]int{proto.Started: 0, proto.Stopped: 1, proto.Destroyed: 2}

func stricterState(a, b string) string {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// change is a request for an instance that has its partition.
func (a *requestState) change(b ledger.View) error {
	n := *a.found
	n.Release, n.Type = a.Release, a.Type
	if !a.onlyStateChanges() {
		n.Parameters = a.parameters
	}
	if a.State != "" {
		n.Asked = a.State
	}
	n.State = a.limitedState(n.Asked)
	was := a.found
	if !sameFilter(n.Filter, a.filter) {
		n.Filter = a.filter
	}
	a.result = result{kind: placed, made: &n}
	changed := n.State != was.State || n.Release != was.Release || n.Type != was.Type || n.Parameters != was.Parameters || n.Stamp == 0
	if !changed && n.Asked == was.Asked && sameFilter(n.Filter, was.Filter) {
		return nil
	}
	if changed {
		n.Stamp = a.m.ledger.Stamp(n.Stamp)
	}
	if err := ledger.SaveInstance(b, &n); err != nil {
		return err
	}
	if n.State != was.State {
		if err := a.m.trees.propagateState(b, &n); err != nil {
			return err
		}
	}
	if n.Release != was.Release || n.Type != was.Type {
		if err := a.m.trees.findNewHosts(b, was, &n); err != nil {
			return err
		}
		return a.m.trees.assignWaiting(b, &n)
	}
	return nil
}

// onlyStateChanges says that a request without parameters only changes the state, so the present
// parameters stay.
func (a *requestState) onlyStateChanges() bool {
	return a.found != nil && !a.parametersGiven && len(a.Parameters) == 0 && a.State != "" && a.State != a.found.Asked &&
		a.Release == a.found.Release && a.Type == a.found.Type
}

func sameFilter(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// forgetUnplaced is a request to destroy an instance without a place: it is only forgotten.
func (a *requestState) forgetUnplaced(b ledger.View) error {
	n := a.newInstance()
	n.Computer, n.Partition, n.State, n.Asked = "", "", proto.Destroyed, proto.Destroyed
	parameters := proto.Dictionary{}
	if a.found != nil {
		var err error
		if parameters, err = proto.ParseParameters(n.Parameters); err != nil {
			return err
		}
		if err := a.endUnplaced(b); err != nil {
			return err
		}
	}
	a.result = result{kind: forgotten, last: &Answer{
		Record: n,
		Instance: proto.Instance{
			State: proto.Destroyed, Release: n.Release, Type: n.Type, Shared: n.Shared, Parameters: parameters,
			Connection: proto.Dictionary{},
		},
	}}
	return nil
}

// endUnplaced forgets an instance without a place. If it is a root that had one before, instances
// that it has asked for and that have partitions are destroyed first.
func (a *requestState) endUnplaced(b ledger.View) error {
	below, err := placedBelow(b, a.found)
	if err != nil || len(below) == 0 {
		return cmp.Or(err, Forget(b, a.found))
	}
	n := *a.found
	n.Asked, n.State = proto.Destroyed, proto.Destroyed
	if a.found.State == proto.Destroyed && a.found.Asked == proto.Destroyed {
		return nil
	}
	return cmp.Or(ledger.SaveInstance(b, &n), a.m.trees.propagateState(b, &n))
}

// answer says what a request has come to.
func (m *requests) answer(a *requestState) (*Answer, error) {
	var out *Answer
	err := m.ledger.Read(func(b ledger.View) (err error) {
		if out, err = AnswerOf(b, a.made); err == nil {
			out.CacheKey = a.cacheKeyOf(b)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if a.caller != nil {
		out.State = a.made.State
	} else if out.State = a.State; out.State == "" {
		out.State = proto.Started
	}
	return out, nil
}

// AnswerOf is an instance as its requester is told.
func AnswerOf(b ledger.View, n *record.Instance) (*Answer, error) {
	out := &Answer{Record: n, Stamp: n.Stamp, Instance: proto.Instance{
		Computer: n.Computer, Partition: n.Partition, State: n.State, Release: n.Release, Type: n.Type,
		ConnectionXML: n.Connection, Shared: n.Shared}}
	var err error
	if out.Parameters, err = proto.ParseParameters(n.Parameters); err != nil {
		return nil, err
	}
	if out.Connection, err = proto.ParseParameters(n.Connection); err != nil {
		return nil, err
	}
	if n.Shared {
		host, err := b.Instance(n.Host)
		if err != nil || host == nil {
			return out, err
		}
		out.Computer, out.Partition, out.Stamp = host.Computer, host.Partition, host.Stamp
	} else {
		out.GUID = GUID(n)
		out.Timestamp = stampText(n.Stamp)
	}
	c, err := b.Computer(out.Computer)
	if err != nil || c == nil {
		return out, err
	}
	out.Addresses, out.FullAddresses = addresses(c, out.Partition)
	return out, nil
}

// GUID is how nodes know an instance: by its place. One without is known by its ID.
func GUID(n *record.Instance) string {
	if n.Shared || n.Partition == "" {
		return n.ID
	}
	return n.Computer + "-" + n.Partition
}

// stampText is a time of change in the form for nodes: seconds.
func stampText(micros int64) string {
	if micros == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%06d", micros/1e6, micros%1e6)
}

// addresses are those of a partition: with a gateway and a netmask they are full ones.
func addresses(c *record.Computer, partition string) (all []proto.Address, full []proto.FullAddress) {
	for i := range c.Partitions {
		if c.Partitions[i].ID != partition {
			continue
		}
		for _, a := range c.Partitions[i].Addresses {
			if a.Gateway != "" && a.Netmask != "" {
				full = append(
					full,
					proto.FullAddress{Interface: a.Interface, IP: a.IP, Gateway: a.Gateway, Netmask: a.Netmask, Network: a.Network},
				)
			} else {
				all = append(all, proto.Address{Interface: a.Interface, IP: a.IP})
			}
		}
	}
	return all, full
}
