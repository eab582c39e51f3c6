package allocate

import (
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
)

// Many ready instances of a source are not all read whenever something happens.
const Many = 1000

// Reader is what a decision reads of the store. Records are the decision's own copies.
type Reader interface {
	instances
	queues
	// Source and the rest are store.SourceTx's.
	Source(name, digest string) (*store.SourceRecord, error)
	Sources(name string) ([]*store.SourceRecord, error)
	SourceByKey(key int64) (*store.SourceRecord, error)
	LastNumber(name string) (int64, error)
}

// instances is what is read of instances and leases.
type instances interface {
	Instance(id compute.ID) (*compute.Instance, error)
	Instances(q inventory.InstanceQuery) ([]*compute.Instance, error)
	Pick(sourceKey int64, n int) ([]*compute.Instance, error)
	Rooms(sourceKey int64, least compute.Resources, n int) ([]*compute.Instance, error)
	Leases(q inventory.LeaseQuery) ([]*compute.Lease, error)
	Held(project, owner string) (compute.Capacity, error)
}

// queues is what is read of the queue, and of what is known of sources.
type queues interface {
	Waiters() ([]*inventory.Waiter, error)
	Note(name string) (string, error)
}

// Surroundings is what a decision is told beside the store. It does not change while one is made.
type Surroundings interface {
	// KeyOf returns the key of a source's record; 0: not known yet.
	KeyOf(s *Source) int64
	// Provider returns what is known of the provider of a source's record; nil: it is not open.
	Provider(key int64) *Provider
	// MadeLast returns the size of the last instance that a source made as it is configured.
	MadeLast(key int64) (has compute.Resources, known bool)
	// Newest returns the make that hand-outs prefer; false: all ready instances are alike.
	Newest(s *Source) (Make, bool)
	// Project returns a project's limits and weight.
	Project(name string) Project
	// Waits reports whether a process still waits for a request in the queue.
	Waits(w *inventory.Waiter) bool
	// Durations returns how long a source's leases last and its instances take to be made; 0: not
	// known.
	Durations(source string, now time.Time) (lease, making time.Duration)
}

// Provider is what a decision must know of an open provider.
type Provider struct {
	Failed bool     // it could not be opened
	Names  []string // of its computers, where it makes none
	Prices bool     // it keeps to a price limit itself
	// Lookup is that of provider.Static: its computers may need no making; nil: they do.
	Lookup func(id compute.ID) (i compute.Instance, ok bool)
	// Fit is that of provider.HealthCache: it may know the result of a check; nil: it does not.
	Fit func(id compute.ID, identity string) bool
}

// Make says of what instances are made.
type Make struct {
	Template string
	First    int64 // the row of the first instance of it that became ready
}

// View is all that a decision goes by. It is not changed by one.
type View struct {
	Reader
	Surroundings
	Now     time.Time
	ByName  map[string]*Source // the configured sources
	Ordered []*Source          // the same, by name
	Worker  int64              // the number of this handle of the store
	Host    string             // the machine whose processes leases may be for
	NewID   func() string      // a new lease's id
	Quotas  bool               // some project may have one
	// Passed is told what a decision passes over: an instance, or with "" what a source could make;
	// nil: nobody asks.
	Passed func(s *Source, id compute.ID, why string)
}

// Maximum returns a source's effective maximum: the smaller of its own and of what its type can
// have at all; 0: no limit.
func (v *View) Maximum(s *Source) int {
	intrinsic := 0
	if s.Type == PoolType {
		for _, c := range s.below {
			m := v.Maximum(c)
			if m == 0 {
				intrinsic = 0
				break
			}
			intrinsic += m
		}
	} else {
		intrinsic = v.Fixed(s)
	}
	if s.Maximum == 0 || intrinsic > 0 && intrinsic < s.Maximum {
		return intrinsic
	}
	return s.Maximum
}

// Fixed returns how many computers a source has if it makes none and its provider is open; 0: it
// makes them.
func (v *View) Fixed(s *Source) int {
	if o := v.Provider(v.KeyOf(s)); o != nil {
		return len(o.Names)
	}
	return 0
}

// ChainOf returns an instance, if it is there, and those behind it, the outermost first.
func ChainOf(tx Reader, id compute.ID) ([]*compute.Instance, error) {
	var out []*compute.Instance
	for id != "" {
		i, err := tx.Instance(id)
		if errors.Is(err, compute.ErrNotFound) {
			break
		} else if err != nil {
			return nil, err
		}
		out = append(out, i)
		id = i.Child
	}
	return out, nil
}
