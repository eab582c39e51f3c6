package deployment

import (
	"context"
	"slices"
	"time"
)

// The kinds of things that a deployment has.
const (
	KeyPair    = "key pair"
	Group      = "security group"
	Rule       = "security group rule"
	Network    = "network"
	Subnet     = "subnet"
	Router     = "router"
	Interface  = "router interface"
	FloatingIP = "floating IP"
	Server     = "server"
	Port       = "port"
	Volume     = "volume"
)

// The states of a deployment.
const (
	Deploying   = "deploying"
	Deployed    = "deployed"
	TearingDown = "tearing down"
)

// Thing is one part of a deployment, or about to become one.
type Thing struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	ID   string `json:"id,omitempty"` // "": it was asked for, and no answer is recorded
	Made bool   `json:"made"`         // by us; else it was there, and stays
}

// Record is what is known of a deployment. It has no secrets.
type Record struct {
	Name         string `json:"name"`
	Installation string `json:"installation"`
	// which type of cloud it is in; "": OpenStack
	Provider string `json:"provider,omitempty"`
	// by which name in clouds.yaml it was reached; "": by the environment
	Cloud    string    `json:"cloud,omitempty"`
	Project  string    `json:"project"` // its id: teardown refuses another
	Region   string    `json:"region,omitempty"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"` // it has the state
	Settings Settings  `json:"settings"`

	// the id of the server that we ran on, if we did
	InCloud string            `json:"in_cloud,omitempty"`
	Things  []Thing           `json:"things"`
	Notes   map[string]string `json:"notes,omitempty"` // the caller's own
}

// Store keeps records. What is not there is compute.ErrNotFound. SaveDeployment returns when the
// record is durable.
type Store interface {
	Deployment(ctx context.Context, name string) (*Record, error)
	SaveDeployment(ctx context.Context, r *Record) error
	DropDeployment(ctx context.Context, name string) error
}

// Thing returns that of a kind which servers are to have, or nil.
func (r *Record) Thing(kind string) *Thing {
	for i := range r.Things {
		if r.Things[i].Kind == kind {
			return &r.Things[i]
		}
	}
	return nil
}

// ID returns its id, or "".
func (r *Record) ID(kind string) string {
	if t := r.Thing(kind); t != nil {
		return t.ID
	}
	return ""
}

// GroupID is the security group that servers are to have; "": the settings want none.
func (r *Record) GroupID() string {
	if len(r.Settings.Ports) == 0 {
		return ""
	}
	return r.ID(Group)
}

// IDs returns those of all things of a kind.
func (r *Record) IDs(kind string) (out []string) {
	for _, t := range r.Things {
		if t.Kind == kind && t.ID != "" {
			out = append(out, t.ID)
		}
	}
	return out
}

// find returns a thing by kind and name, or nil.
func (r *Record) find(kind, name string) *Thing {
	for i := range r.Things {
		if r.Things[i].Kind == kind && r.Things[i].Name == name {
			return &r.Things[i]
		}
	}
	return nil
}

// note adds a thing, in place of one of its kind and name.
func (r *Record) note(t Thing) {
	if old := r.find(t.Kind, t.Name); old != nil {
		*old = t
		return
	}
	r.Things = append(r.Things, t)
}

// use has ID return this thing of its kind from now on. What the settings named before and was not
// made by us is forgotten; what we made stays for teardown.
func (r *Record) use(kind, id string) {
	if id == "" {
		return
	}
	r.Things = slices.DeleteFunc(r.Things, func(t Thing) bool { return t.Kind == kind && t.ID != id && !t.Made })
	first := slices.IndexFunc(r.Things, func(t Thing) bool { return t.Kind == kind })
	if i := slices.IndexFunc(r.Things, func(t Thing) bool { return t.Kind == kind && t.ID == id }); i > first {
		t := r.Things[i]
		r.Things = slices.Insert(slices.Delete(r.Things, i, i+1), first, t)
	}
}

// given adds what is there already and is used as it is, and has ID return it. What we made stays
// known as that.
func (r *Record) given(t Thing) {
	if !slices.ContainsFunc(r.Things, func(old Thing) bool { return old.Kind == t.Kind && old.ID == t.ID }) {
		r.Things = append(r.Things, t)
	}
	r.use(t.Kind, t.ID)
}

// forget takes a thing away.
func (r *Record) forget(kind, name string) {
	for i, t := range r.Things {
		if t.Kind == kind && t.Name == name {
			r.Things = append(r.Things[:i], r.Things[i+1:]...)
			return
		}
	}
}

// What became of a thing in a Step.
const (
	Found     = "found"    // it was there, ours or not
	Made      = "made"     //
	Repaired  = "repaired" // it was there, and not as it is to be
	Deleted   = "deleted"
	Gone      = "gone" // it was to be deleted, and was not there any more
	Left      = "left" // it is not ours
	WouldMake = "would make"
	WouldFix  = "would repair"
	WouldDrop = "would delete"
)

// Step tells of one thing that was looked at, made or deleted.
type Step struct {
	Did  string `json:"did"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	ID   string `json:"id,omitempty"`
	Note string `json:"note,omitempty"`
}
