package api

import (
	"maps"
	"math"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Lease is the document of a lease.
type Lease struct {
	ID         string             `json:"id" doc:"ID of the lease"`
	Name       string             `json:"name,omitempty" doc:"Name of the lease. It is unique among the live leases of its project."`
	Instance   string             `json:"instance" doc:"Name of the instance"`
	Source     string             `json:"source"`
	Owner      string             `json:"owner"`
	Project    string             `json:"project,omitempty" doc:"Project of the lease. Left out for the default project."`
	Purpose    string             `json:"purpose,omitempty" doc:"What the lease is for, for people to read"`
	Labels     map[string]string  `json:"labels,omitempty"`
	Generation int64              `json:"generation" doc:"Generation of the instance when the lease was given"`
	Given      time.Time          `json:"given"`
	Used       time.Time          `json:"used" doc:"Last known use"`
	TTL        float64            `json:"ttl" doc:"Time to live in seconds. 0 means none."`
	Idle       float64            `json:"idle" doc:"Seconds that the lease may be unused. 0 means no limit."`
	Expires    *time.Time         `json:"expires" doc:"When the ttl ends the lease. null means never."`
	Deadline   *time.Time         `json:"deadline" doc:"When the lease ends unless it is used or extended. null means never."`
	PID        int                `json:"pid,omitempty" doc:"The lease ends with this process of the controller's machine"`
	Pool       string             `json:"pool,omitempty" doc:"The pool's instance that holds the lease"`
	Share      *compute.Resources `json:"share,omitempty" doc:"Booked part of the instance. Left out: all of it."`
	Cost       float64            `json:"cost_per_hour,omitempty" doc:"Cost for an hour, in the currency of the source's price. Left out if the source has no price."`
}

// KeyHeader is the header with a request's idempotency key. A repeated request with the same key
// gets the same answer. A different request with that key is a conflict.
const KeyHeader = "Idempotency-Key"

// KeyLabel is the internal label of leases that were given to a request with a key.
const KeyLabel = inventory.RequestLabel

// ShownLabels returns labels without the internal one.
func ShownLabels(labels map[string]string) map[string]string {
	if _, ok := labels[KeyLabel]; !ok {
		return labels
	}
	if len(labels) == 1 {
		return nil
	}
	labels = maps.Clone(labels)
	delete(labels, KeyLabel)
	return labels
}

// NewLease makes the document of a lease.
func NewLease(l compute.Lease) Lease {
	return Lease{
		ID: l.ID, Name: l.Name, Instance: string(l.Instance), Source: l.Source, Owner: l.Owner, Project: l.Project,
		Purpose: l.Purpose, Labels: ShownLabels(l.Labels),
		Generation: l.Generation, Given: l.Given, Used: l.Used, TTL: l.TTL.Seconds(), Idle: l.Idle.Seconds(), Expires: when(l.Expires),
		Deadline: when(l.Deadline()), PID: l.For.PID, Pool: string(l.Pool),
		Share: l.Share, Cost: l.Holds.Cost,
	}
}

// Compute returns the lease of a document. The start of its process is missing.
func (l Lease) Compute() compute.Lease {
	out := compute.Lease{
		ID: l.ID, Name: l.Name, Instance: compute.ID(l.Instance), Source: l.Source, Owner: l.Owner, Project: l.Project,
		Purpose: l.Purpose, Labels: l.Labels,
		Generation: l.Generation, Given: l.Given, Used: l.Used, TTL: span(l.TTL), Idle: span(l.Idle),
		For: compute.Process{PID: l.PID}, Pool: compute.ID(l.Pool),
		Share: l.Share, Holds: compute.Capacity{Cost: l.Cost},
	}
	if l.Expires != nil {
		out.Expires = *l.Expires
	}
	return out
}

// AcquireRequest asks for instances. All are given, or none. Fields that are left out are as the
// source has them.
type AcquireRequest struct {
	Source   string            `json:"source" minLength:"1" doc:"Name of the source"`
	Count    *int              `json:"count,omitempty" minimum:"1" maximum:"100000" doc:"Number of leases. The default is 1."`
	Owner    string            `json:"owner,omitempty" doc:"Owner of the leases, set by administrators only. The default is the caller."`
	Project  string            `json:"project,omitempty" maxLength:"200" doc:"One of the caller's projects. Left out: the default project."`
	Priority int               `json:"priority,omitempty" minimum:"-100" maximum:"100" doc:"Priority in the queue. A higher number goes first. The default is 0, and the project sets the highest."`
	Purpose  string            `json:"purpose,omitempty" maxLength:"1000" doc:"What the leases are for, for people to read"`
	Name     string            `json:"name,omitempty" maxLength:"200" doc:"Name of the lease, unique among the live leases of its project. It needs a count of 1. Letters (a-z, A-Z), digits, dots, _ and - are allowed."`
	TTL      *float64          `json:"ttl,omitempty" minimum:"0" maximum:"3153600000" doc:"The lease ends this many seconds after it was given or extended. 0 means never."`
	Idle     *float64          `json:"idle,omitempty" minimum:"0" maximum:"3153600000" doc:"The lease ends after this many seconds without use. 0 means never."`
	Wait     *float64          `json:"wait,omitempty" doc:"Longest wait in the queue, in seconds. 0 means no wait. The default is 600."`
	Cores    *float64          `json:"cores,omitempty" minimum:"0" doc:"At least this many cores. If the source shares its instances, the lease books them; the default is then 1."`
	Memory   int64             `json:"memory,omitempty" minimum:"0" doc:"At least this many bytes of memory. If the source shares its instances, the lease books them."`
	Disk     int64             `json:"disk,omitempty" minimum:"0" doc:"At least this many bytes of disk. If the source shares its instances, the lease books them."`
	GPUs     int               `json:"gpus,omitempty" minimum:"0" doc:"At least this many GPUs. If the source shares its instances, the lease books them."`
	MaxPrice float64           `json:"max_price,omitempty" minimum:"0" doc:"Highest price of each instance for an hour, in the currency of the sources' prices. The request is refused if no price is known."`
	Labels   map[string]string `json:"labels,omitempty" doc:"Labels that are kept with the lease. At most 64, of 16 KiB together."`
	Token    bool              `json:"token,omitempty" doc:"Answer with a token for each lease, which is good for that lease alone."`
	For      *Process          `json:"for,omitempty" doc:"The leases end with this process. Only callers on the controller's machine may set it, by its socket."`
	Image    string            `json:"image,omitempty" maxLength:"1000" doc:"Image to make the instances from: a name, the beginning of a name or an ID that the provider has. All instances are then made, and discarded after use."`
	Flavor   string            `json:"flavor,omitempty" maxLength:"1000" doc:"Flavor of the instances, by the same rules as image"`
	Location string            `json:"location,omitempty" maxLength:"1000" doc:"Location of the instances, by the same rules as image"`
	UserData []byte            `json:"user_data,omitempty" maxLength:"262144" doc:"User data for each instance's first boot, as cloud-init reads it. Do not put secrets in it."`
	New      bool              `json:"new,omitempty" doc:"Use no ready instance: make all of them."`
	Cached   bool              `json:"cached_only,omitempty" doc:"Use ready instances and make none. Fewer than asked for is no error."`
}

// Process identifies a process on the controller's machine.
type Process struct {
	PID   int    `json:"pid" minimum:"2"`
	Start uint64 `json:"start" doc:"Start time of the process, in the kernel's ticks since boot"`
}

// waitDefault is how long a request waits in the queue if it does not say.
const waitDefault = 10 * time.Minute

// NewAcquireRequest makes the document of a request.
func NewAcquireRequest(r compute.Request) AcquireRequest {
	wait := r.Wait.Seconds()
	out := AcquireRequest{
		Source: r.Source, Count: &r.Count, Owner: r.Owner, Project: r.Project, Priority: r.Priority, Purpose: r.Purpose,
		Name: r.Name, TTL: limit(r.TTL), Idle: limit(r.Idle), Wait: &wait,
		Memory: r.Memory, Disk: r.Disk, GPUs: r.GPUs, MaxPrice: r.MaxPrice, Labels: r.Labels, New: r.New, Cached: r.CachedOnly,
		Image: r.Image, Flavor: r.Flavor, Location: r.Location, UserData: r.UserData,
	}
	if r.Cores != 0 {
		cores := max(0, r.Cores)
		out.Cores = &cores
	}
	if r.For.PID != 0 {
		out.For = &Process{r.For.PID, r.For.Start}
	}
	return out
}

// Compute returns the request of a document.
func (r AcquireRequest) Compute() compute.Request {
	out := compute.Request{
		Source: r.Source, Count: 1, Owner: r.Owner, Project: r.Project, Priority: r.Priority, Purpose: r.Purpose,
		Name: r.Name, TTL: unlimit(r.TTL), Idle: unlimit(r.Idle), Wait: waitDefault,
		Memory: r.Memory, Disk: r.Disk, GPUs: r.GPUs, MaxPrice: r.MaxPrice, Labels: r.Labels, New: r.New, CachedOnly: r.Cached,
		Image: r.Image, Flavor: r.Flavor, Location: r.Location, UserData: r.UserData,
	}
	switch {
	case r.Cores == nil:
	case *r.Cores == 0:
		out.Cores = -1 // zero cores were asked for
	default:
		out.Cores = *r.Cores
	}
	if r.Count != nil {
		out.Count = *r.Count
	}
	if r.Wait != nil {
		out.Wait = span(*r.Wait)
	}
	if r.For != nil {
		out.For = compute.Process{PID: r.For.PID, Start: r.For.Start}
	}
	return out
}

// Acquired is the answer to an AcquireRequest: the first lease, and all of them if the request had
// a count.
type Acquired struct {
	Lease
	Leases []Lease `json:"leases,omitempty" doc:"All leases, sorted by instance. Present if the request had a count."`
	// Token and Tokens are secrets that are sent only once.
	Token  string            `json:"token,omitempty" doc:"Token of the lease, if the request asked for one. It is good for that lease alone. A repeated request is answered without it; POST /v1/leases/{lease}/token makes another."`
	Tokens map[string]string `json:"tokens,omitempty" doc:"Tokens of all leases by their IDs. Present if the request had a count."`
}

// ExtendRequest asks for a longer lease.
type ExtendRequest struct {
	TTL *float64 `json:"ttl,omitempty" minimum:"0" maximum:"3153600000" doc:"New ttl in seconds. 0 means none. Left out: the lease's own, from now."`
}

// when returns nil for the zero time.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// span converts seconds to a duration, within its range.
func span(seconds float64) time.Duration {
	d := seconds * float64(time.Second)
	if d >= math.MaxInt64 || math.IsNaN(d) {
		return math.MaxInt64
	}
	if d <= math.MinInt64 {
		return math.MinInt64
	}
	return time.Duration(math.Round(d))
}

// limit converts a limit of compute.Request to seconds. There 0 means the source's limit and
// negative means none; here these are nil and 0.
func limit(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	s := max(0, d.Seconds())
	return &s
}

// unlimit is the reverse of limit.
func unlimit(s *float64) time.Duration {
	if s == nil {
		return 0
	}
	if d := span(*s); d > 0 {
		return d
	}
	if *s > 0 { // not 0, which would mean the source's limit
		return 1 // less than a nanosecond is no time, and not without end
	}
	return -1
}

// ReleaseRequest gives instances back. All names must be valid, or nothing changes.
type ReleaseRequest struct {
	Names   []string `json:"names" minItems:"1" maxItems:"100000" doc:"Names of instances, or IDs or names of leases"`
	Force   bool     `json:"force,omitempty" doc:"Discard the instances whatever their sources want to keep"`
	Discard bool     `json:"discard,omitempty" doc:"Discard also instances without a lease: cached, failed, held and orphaned ones."`
	Ended   string   `json:"ended,omitempty" maxLength:"1000" doc:"Why the computers ended by themselves. They are discarded, and the journal has the reason."`
}

// NewReleaseRequest makes the document of compute.Leaser's Release. A reason that is too long is
// cut.
func NewReleaseRequest(opt compute.ReleaseOptions, names ...compute.ID) ReleaseRequest {
	out := ReleaseRequest{Names: make([]string, len(names)), Force: opt.Force, Discard: opt.Discard, Ended: opt.Ended}
	if len(out.Ended) > endedMost {
		out.Ended = strings.ToValidUTF8(out.Ended[:endedMost], "")
	}
	for i, n := range names {
		out.Names[i] = string(n)
	}
	return out
}

// endedMost is the longest reason in bytes.
const endedMost = 1000

// Compute returns the ttl as compute.Leaser's Extend takes it.
func (r ExtendRequest) Compute() time.Duration { return unlimit(r.TTL) }

// NewExtendRequest makes the document of a ttl, as compute.Leaser's Extend takes it.
func NewExtendRequest(ttl time.Duration) ExtendRequest { return ExtendRequest{TTL: limit(ttl)} }

// Progress says how far a waiting request for leases has come.
type Progress struct {
	Phase    string  `json:"phase" doc:"wait, create, connect, set-up, clean or check"`
	Instance string  `json:"instance,omitempty" doc:"The instance that is being made"`
	Position int     `json:"position,omitempty" doc:"Position in the queue, from 1, while the request waits"`
	Estimate float64 `json:"estimate,omitempty" doc:"Estimated seconds until the request is served. Left out if there is no estimate."`
	Reason   string  `json:"reason,omitempty" doc:"Why the request waits"`
	// the place of a source that could serve it
	Unreachable bool `json:"unreachable,omitempty" doc:"A place that could serve the request does not answer"`
}

// The events of a streamed answer to a request for leases: any number of EventProgress, then one of
// the others.
const (
	EventProgress = "progress" // Progress
	EventAcquired = "acquired" // Acquired
	EventProblem  = "problem"  // Problem
)

// EventStream is the media type of Server-Sent Events.
const EventStream = "text/event-stream"

// NewProgress makes the document of a progress.
func NewProgress(p compute.Progress) Progress {
	return Progress{p.Phase, string(p.Instance), p.Position, p.Estimate.Seconds(), p.Reason, p.Unreachable}
}

// Compute returns the progress of a document.
func (p Progress) Compute() compute.Progress {
	return compute.Progress{
		Phase: p.Phase, Instance: compute.ID(p.Instance), Position: p.Position, Estimate: span(p.Estimate),
		Reason: p.Reason, Unreachable: p.Unreachable,
	}
}
