package allocate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/pool/demand"
)

// Source is a configured source, as the engine sees it. A zero field means none, unless it says
// more.
type Source struct {
	Name   string
	Type   string // "pool": the instances come from Children
	Digest string // of the keys that determine how its instances are made
	Place  string // the root of configuration that defines it
	Err    error  // it is broken: every use returns this error
	// which it has of provision, discard, acquire, release, check. "bundles", and then provision
	// too: bundles set it up
	Hooks []string

	Reserve     int // keep at least this many instances, cached and in use together
	Spare       int // keep this many ready beside those in use
	Maximum     int // at most this many; 0: no limit of its own
	Concurrency int // concurrent runs on an instance; 0: no limit
	MaxUses     int // hand-outs of one instance; 0: no limit
	// several leases share an instance, as far as there is room
	Share bool
	// how many surplus instances a director may keep stopped, where the provider can stop and start
	Cold     int
	Children []string

	Reuse     string // "clean", "as-is", "rebuild", "no"; "": what the provider can
	OnFailure string // "hold": keep a failed instance aside; else discard it
	// ConfirmDead is how long a failed instance is kept aside, unless a person holds it; 0: until a
	// person discards it.
	ConfirmDead time.Duration
	TTL         time.Duration // of leases that ask for none; 0: none
	MaxTTL      time.Duration // at most; 0: no limit
	LeaseIdle   time.Duration // idle limit of leases; 0: the caller's default
	Idle        time.Duration // how long a surplus instance stays
	MaxAge      time.Duration // older ones are not handed out; 0: no limit
	Window      time.Duration // how far back a director is told of leases; 0: not at all

	// its definition keeps computers standing ahead at the provider's place, so it is opened even
	// without a request
	Ahead bool

	// Tally has the journal note requests that got none of it. A director that keeps images ready
	// learns from that what is asked for.
	Tally bool

	Price float64 // of an instance for an hour; 0: none
	// Size is what an instance has by the configuration; zeros: not known. It counts under quotas
	// until an instance was made.
	Size compute.Resources

	// Policy is what requests may choose, as package policy has it; its name is the source's.
	Policy policy.Source

	Image, Flavor string
	Definition    []byte // what Open needs to open the provider, kept with the instances

	// Record is the key of the record of a source that is configured no more; 0: it is configured.
	Record int64
	below  []*Source // Children, by Link
}

// PoolType is the type of sources that draw from others.
const PoolType = "pool"

// Link joins pools to their children. A pool is broken if a child is missing, or if it contains
// itself. The others work on.
func Link(byName map[string]*Source, ordered []*Source) {
	for _, s := range ordered {
		if s.Type != PoolType || s.Err != nil {
			continue
		}
		for _, name := range s.Children {
			c, ok := byName[name]
			if !ok {
				s.Err = &compute.Error{
					ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
					Err: fmt.Errorf("its source %q is not configured", name),
				}
				break
			}
			s.below = append(s.below, c)
		}
	}
	for _, s := range ordered {
		if circle := s.circle(nil); circle != nil {
			s.Err = &compute.Error{ID: compute.ID(s.Name), Kind: compute.ErrInvalid,
				Err: fmt.Errorf("a pool cannot draw from itself: %s", strings.Join(circle, " -> "))}
		}
	}
	for _, s := range ordered {
		if s.Err != nil {
			s.below = nil
		}
	}
}

// circle returns the names along a circle that path and the sources below s form, or nil. Its
// first and last name are the same.
func (s *Source) circle(path []string) []string {
	if i := slices.Index(path, s.Name); i >= 0 {
		return append(path[i:], s.Name)
	}
	for _, c := range s.below {
		if found := c.circle(append(slices.Clone(path), s.Name)); found != nil {
			return found
		}
	}
	return nil
}

// All returns s and everything below it, children first, each once.
func (s *Source) All() []*Source {
	var out []*Source
	var walk func(*Source)
	walk = func(s *Source) {
		if slices.Contains(out, s) {
			return
		}
		for _, c := range s.below {
			walk(c)
		}
		out = append(out, s)
	}
	walk(s)
	return out
}

// LongestTTL returns how long leases may last at most: of a pool, the shortest of its own and of
// all sources below it. 0: there is no limit.
func (s *Source) LongestTTL() time.Duration {
	var most time.Duration
	for _, c := range s.All() {
		if c.MaxTTL > 0 && (most == 0 || c.MaxTTL < most) {
			most = c.MaxTTL
		}
	}
	return most
}

// Has reports whether a source has hooks of a kind.
func (s *Source) Has(event string) bool { return slices.Contains(s.Hooks, event) }

// Expired returns why an instance, or one behind it, must not be handed out again, or "". A pool's
// children age behind it, and each hand-out of the pool's instance is one of theirs.
func Expired(r Reader, sources map[string]*Source, s *Source, i *compute.Instance, now time.Time) (string, error) {
	why := s.Expired(i, now)
	for uses := i.Uses; why == "" && i.Child != ""; {
		child, err := r.Instance(i.Child)
		if err != nil {
			return "", err
		}
		uses += child.Uses - 1
		child.Uses = uses
		i = child
		if s = sources[i.Source]; s != nil {
			why = s.Expired(i, now)
		}
	}
	return why, nil
}

// Expired returns why an instance must not be handed out again, or "".
func (s *Source) Expired(i *compute.Instance, now time.Time) string {
	switch {
	case s.MaxAge > 0 && now.Sub(i.Created) >= s.MaxAge:
		return fmt.Sprintf("older than max-age %v", s.MaxAge)
	case s.MaxUses > 0 && i.Uses >= s.MaxUses:
		return fmt.Sprintf("used %d times, as often as max-uses allows", i.Uses)
	}
	return ""
}

// usual returns what all computers of a source have.
func (s *Source) usual() demand.Demand {
	return demand.Demand{
		Image: s.Image, Flavor: s.Flavor, Cores: s.Size.Cores, Memory: s.Size.Memory, Disk: s.Size.Disk, GPUs: s.Size.GPUs,
	}
}

// Project is what a project's requests may have, and what they count beside others'.
type Project struct {
	Weight  float64          // its share compared with other projects; 0: 1
	Highest *int             // the highest priority of its requests; nil: any
	Quota   compute.Capacity // of all its leases together; 0 in it: no limit
	Users   compute.Capacity // the same for each of its users
	Limits  policy.Limits    // what its requests may choose of what the sources allow
}

func (p Project) limited() bool {
	return p.Quota != compute.Capacity{} || p.Users != compute.Capacity{}
}

// Priority returns the priority that a request gets if it asks for one.
func (p Project) Priority(asked int) int {
	if p.Highest != nil {
		asked = min(asked, *p.Highest)
	}
	return max(inventory.MinPriority, min(inventory.MaxPriority, asked))
}

func limited(what string, c compute.Capacity) string {
	return plain(what, c) + map[string]string{"count": " instances", "cores": " cores", "memory": " of memory", "cost": " an hour"}[what]
}

// Ages reports whether instances of a source, or those behind a pool's, may wear out while they are
// ready.
func (s *Source) Ages() bool {
	for _, c := range s.All() {
		if c.MaxAge > 0 || c.MaxUses > 0 && s.Type == PoolType {
			return true
		}
	}
	return false
}
