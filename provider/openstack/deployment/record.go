package deployment

import (
	"context"
	"slices"
	"time"
)

// The kinds of things of a deployment.
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

// Thing is one part of a deployment, which exists or was requested.
type Thing struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	ID   string `json:"id,omitempty"` // "": it was requested, and no answer is recorded
	Made bool   `json:"made"`         // by us; else it existed before, and stays
}

// Record is what is known of a deployment. It has no secrets.
type Record struct {
	Name         string `json:"name"`
	Installation string `json:"installation"`
	// the type of its cloud; "": OpenStack
	Provider string `json:"provider,omitempty"`
	// the cloud's name in clouds.yaml; "": from the environment
	Cloud    string    `json:"cloud,omitempty"`
	Project  string    `json:"project"` // its id; a teardown in another project is refused
	Region   string    `json:"region,omitempty"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"` // when it got the state
	Settings Settings  `json:"settings"`

	// the id of the server that we ran on; "": none
	InCloud string            `json:"in_cloud,omitempty"`
	Things  []Thing           `json:"things"`
	Notes   map[string]string `json:"notes,omitempty"` // the caller's
}

// Store keeps records. A missing record is compute.ErrNotFound. SaveDeployment returns when the
// record is durable.
type Store interface {
	Deployment(ctx context.Context, name string) (*Record, error)
	SaveDeployment(ctx context.Context, r *Record) error
	DropDeployment(ctx context.Context, name string) error
}

// Thing returns the thing of a kind that servers are to use, or nil.
func (r *Record) Thing(kind string) *Thing {
	for i := range r.Things {
		if r.Things[i].Kind == kind {
			return &r.Things[i]
		}
	}
	return nil
}

// ID returns the id of that thing, or "".
func (r *Record) ID(kind string) string {
	if t := r.Thing(kind); t != nil {
		return t.ID
	}
	return ""
}

// GroupID returns the id of the security group for servers. "": the settings want none.
func (r *Record) GroupID() string {
	if len(r.Settings.Ports) == 0 {
		return ""
	}
	return r.ID(Group)
}

// IDs returns the ids of all things of a kind.
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

// note adds a thing, or replaces the one of its kind and name.
func (r *Record) note(t Thing) {
	if old := r.find(t.Kind, t.Name); old != nil {
		*old = t
		return
	}
	r.Things = append(r.Things, t)
}

// use makes ID return this thing of its kind. An earlier thing that we did not make is forgotten.
// One that we made stays for teardown.
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

// given adds an existing thing that is used unchanged, and makes ID return it. If we made it, that
// stays recorded.
func (r *Record) given(t Thing) {
	if !slices.ContainsFunc(r.Things, func(old Thing) bool { return old.Kind == t.Kind && old.ID == t.ID }) {
		r.Things = append(r.Things, t)
	}
	r.use(t.Kind, t.ID)
}

// forget removes a thing from the record.
func (r *Record) forget(kind, name string) {
	for i, t := range r.Things {
		if t.Kind == kind && t.Name == name {
			r.Things = append(r.Things[:i], r.Things[i+1:]...)
			return
		}
	}
}

// The outcomes of a Step.
const (
	Found     = "found"    // it existed, ours or not
	Made      = "made"     //
	Repaired  = "repaired" // it existed, and differed from the settings
	Deleted   = "deleted"
	gone      = "gone" // it was to be deleted, and did not exist any more
	Left      = "left" // it is not ours, and stays
	wouldMake = "would make"
	WouldFix  = "would repair"
	WouldDrop = "would delete"
)

// Step tells of one thing that was examined, made or deleted.
type Step struct {
	Did  string `json:"did"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	ID   string `json:"id,omitempty"`
	Note string `json:"note,omitempty"`
}
