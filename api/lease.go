package api

import (
	"maps"
	"math"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Lease is the document of a lease.
type Lease struct {
	ID         string            `json:"id" doc:"of the lease"`
	Name       string            `json:"name,omitempty" doc:"unique among those of its project that live"`
	Instance   string            `json:"instance" doc:"the instance's name"`
	Source     string            `json:"source"`
	Owner      string            `json:"owner"`
	Project    string            `json:"project,omitempty" doc:"whose it is; left out: the default one's"`
	Purpose    string            `json:"purpose,omitempty" doc:"for people to read"`
	Labels     map[string]string `json:"labels,omitempty"`
	Generation int64             `json:"generation" doc:"the instance's, when the lease was given"`
	Given      time.Time         `json:"given"`
	Used       time.Time         `json:"used" doc:"last use known"`
	TTL        float64           `json:"ttl" doc:"seconds; 0: none"`
	Idle       float64           `json:"idle" doc:"seconds that it may be unused; 0: without limit"`
	Expires    *time.Time        `json:"expires" doc:"by its ttl; null: never"`
	Deadline   *time.Time        `json:"deadline" doc:"when it ends unless it is used or extended; null: never"`
	PID        int               `json:"pid,omitempty" doc:"it ends with this process of the controller's machine"`
	Pool       string            `json:"pool,omitempty" doc:"the pool's instance that holds it"`
	Share      *compute.Amount   `json:"share,omitempty" doc:"the part of the instance that it has booked; left out: it has all of it"`
	Cost       float64           `json:"cost_per_hour,omitempty" doc:"in whatever money the source's price is in; left out: it has none"`
}

// KeyHeader is the header with a request's idempotency key. A repeated request with the same key
// gets the same answer. A different request with that key is a conflict.
const KeyHeader = "Idempotency-Key"

// KeyLabel is the internal label of leases that were given to a request with a key.
const KeyLabel = compute.RequestLabel

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
	Source   string            `json:"source" minLength:"1" doc:"the source's name"`
	Count    *int              `json:"count,omitempty" minimum:"1" maximum:"100000" doc:"how many; 1 unless it is said"`
	Owner    string            `json:"owner,omitempty" doc:"whose they are to be; for administrators: the caller's unless it is said"`
	Project  string            `json:"project,omitempty" maxLength:"200" doc:"of the caller's, for which they are; the default one unless it is said"`
	Priority int               `json:"priority,omitempty" minimum:"-100" maximum:"100" doc:"in the queue, where a higher number goes first; 0 unless it is said, and at most what the project may have"`
	Purpose  string            `json:"purpose,omitempty" maxLength:"1000" doc:"what for, for people to read"`
	Name     string            `json:"name,omitempty" maxLength:"200" doc:"a name for the lease, unique among those of its project that live; with a count of 1 only. Letters (a-z, A-Z), digits, dots, _ and -"`
	TTL      *float64          `json:"ttl,omitempty" minimum:"0" maximum:"3153600000" doc:"the lease ends so many seconds after it was given or extended; 0: it does not"`
	Idle     *float64          `json:"idle,omitempty" minimum:"0" maximum:"3153600000" doc:"it ends when unused for so many seconds; 0: it does not"`
	Wait     *float64          `json:"wait,omitempty" doc:"at most so many seconds in the queue; 0: not at all; 600 unless it is said"`
	Cores    *float64          `json:"cores,omitempty" minimum:"0" doc:"at least so many; of a source that shares its instances, what the lease books of one: 1 unless it is said"`
	Memory   int64             `json:"memory,omitempty" minimum:"0" doc:"bytes, at least or booked"`
	Disk     int64             `json:"disk,omitempty" minimum:"0" doc:"bytes, at least or booked"`
	GPUs     int               `json:"gpus,omitempty" minimum:"0" doc:"at least so many, or booked"`
	MaxPrice float64           `json:"max_price,omitempty" minimum:"0" doc:"each costs at most so much for an hour, in whatever money the sources' prices are; where nobody knows a price that is refused"`
	Labels   map[string]string `json:"labels,omitempty" doc:"kept with the lease: 64 at most, of 16 KiB together"`
	Token    bool              `json:"token,omitempty" doc:"the answer has a token for each lease, which is for that lease alone"`
	For      *Process          `json:"for,omitempty" doc:"the leases end with this process; for callers on the controller's machine, by its socket"`
	Image    string            `json:"image,omitempty" maxLength:"1000" doc:"of which they are to be made: a name, its beginning or an id of what the provider has; then all are made, and go when they are given back"`
	Flavor   string            `json:"flavor,omitempty" maxLength:"1000" doc:"the same of their size"`
	Location string            `json:"location,omitempty" maxLength:"1000" doc:"the same of where they are"`
	UserData []byte            `json:"user_data,omitempty" maxLength:"262144" doc:"what each is told at its first boot, as cloud-init reads it; no place for secrets"`
	New      bool              `json:"new,omitempty" doc:"take nothing that stands ready: make all of them"`
	Cached   bool              `json:"cached_only,omitempty" doc:"take what stands ready and make nothing; fewer are no error"`
}

// Process identifies a process on the controller's machine.
type Process struct {
	PID   int    `json:"pid" minimum:"2"`
	Start uint64 `json:"start" doc:"when it began, in the kernel's ticks since boot"`
}

// WaitDefault is how long a request waits in the queue if it does not say.
const WaitDefault = 10 * time.Minute

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
		Name: r.Name, TTL: unlimit(r.TTL), Idle: unlimit(r.Idle), Wait: WaitDefault,
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
	Leases []Lease `json:"leases,omitempty" doc:"all of them, sorted by instance, where a count was given"`
	// Token and Tokens are secrets that are sent only once.
	Token  string            `json:"token,omitempty" doc:"the lease's own token, if one was asked for: for that lease alone. The same request again is answered without; POST /v1/leases/{lease}/token makes another"`
	Tokens map[string]string `json:"tokens,omitempty" doc:"those of all leases, by their ids, where a count was given"`
}

// ExtendRequest asks for a longer lease.
type ExtendRequest struct {
	TTL *float64 `json:"ttl,omitempty" minimum:"0" maximum:"3153600000" doc:"another ttl, in seconds; 0: none. Left out: that which it has, from now"`
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
	Names   []string `json:"names" minItems:"1" maxItems:"100000" doc:"instances, or leases by id or name"`
	Force   bool     `json:"force,omitempty" doc:"discard them, whatever their sources want to keep"`
	Discard bool     `json:"discard,omitempty" doc:"discard also what is not leased: cached, failed, held and orphaned instances"`
	Ended   string   `json:"ended,omitempty" maxLength:"1000" doc:"why the computers have ended by themselves: they are discarded, and the journal says so"`
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
	Instance string  `json:"instance,omitempty" doc:"that is being made"`
	Position int     `json:"position,omitempty" doc:"in the queue, from 1, while it waits"`
	Estimate float64 `json:"estimate,omitempty" doc:"seconds until it is served, as far as can be told; left out: not known"`
	Reason   string  `json:"reason,omitempty" doc:"why it waits"`
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
	return Progress{p.Phase, string(p.Instance), p.Position, p.Estimate.Seconds(), p.Reason}
}

// Compute returns the progress of a document.
func (p Progress) Compute() compute.Progress {
	return compute.Progress{
		Phase: p.Phase, Instance: compute.ID(p.Instance), Position: p.Position, Estimate: span(p.Estimate),
		Reason: p.Reason,
	}
}
