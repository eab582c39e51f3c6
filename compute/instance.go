package compute

import "time"

// ID is an instance's name, unique in an installation and never used for another: SOURCE-ID, as
// "debian-3" or "web-HOST". It is looked up, never split.
type ID string

// State is the state of an instance in its life.
type State string

// The states of an instance's life. An instance that is gone has no record but its events.
const (
	Creating   State = "creating"   // recorded; the provider is asked for it
	SettingUp  State = "setting-up" // made; being connected to, provision.d running
	Ready      State = "ready"      // cached, may be handed out
	Leased     State = "leased"     // in use
	Cleaning   State = "cleaning"   // released; being made fit for the next lease
	Failed     State = "failed"     // set-up, cleaning or health failed; never handed out
	Discarding State = "discarding" // being destroyed, until the provider says not found
	Held       State = "held"       // kept aside for a person to look at; counted nowhere
)

// Instance is one computer got from a source. A provider fills ID, ProviderID, Address and Facts;
// the engine sets the rest.
type Instance struct {
	ID         ID                // the name
	Source     string            // the source's name
	ProviderID string            // the provider's own identifier, for people and hooks
	Address    string            // host name or address, where there is one
	Facts      map[string]string // what the provider knows: "os", "cores", ...

	Row        int64     // the record's key in the store; 0: not stored yet
	SourceKey  int64     // the record of the source's definition that it was made by
	State      State     // set by the engine alone
	Since      time.Time // when it got into this state
	Created    time.Time // when it was recorded
	ReadyAt    time.Time // when it was last made or found fit; zero: never
	Generation int64     // grows with each hand-out; all acts under a lease present it
	Uses       int       // how often it was handed out
	Child      ID        // of a pool's instance: the child's instance behind it
	Work
	// Retry depends on the state. Discarding: the time of the next try. Held: when it is discarded
	// by itself; zero: never. Ready: it is given to nobody before, as its computer is at another
	// place.
	Retry  time.Time
	Reason string // why it is failed, held or discarded, or given to nobody though it is ready
	Cause  Cause  // the part of the reason that the engine goes by; "": none
	Basis  int64  // the id of the event, of making or cleaning, that the next hand-out rests on
	Phases Phases // how long each phase of making it took
	Cold   bool   // ready but stopped: it is started before it is handed out
}

// Why is the reason for its state for people. Of one that could not be discarded yet it says what
// failed last.
func (i *Instance) Why() string {
	if i.Failure == "" {
		return i.Reason
	}
	return i.Reason + "; discard: " + i.Failure
}

// Work is what is being done with an instance. The zero value is nothing.
type Work struct {
	Worker   int64       // the worker that is at work on it; 0: none
	Wanted   string      // the lease that it is being made for; "": none
	Fill     bool        // with Wanted: no request wants it, and it is made for the cache
	Booked   Reservation // what that lease will count, and for whom
	Attempts int         // failed tries to discard it
	Failure  string      // the error of the last of them, for people; "": there is none
	// how many hooks of the present step are done, so that a repeated step goes on after them
	Resume int
}

// Cause is the part of a reason that the engine goes by. The text beside it is for people.
type Cause string

// Phases are the timed parts of a cold start.
type Phases struct {
	Wait    time.Duration `json:"wait,omitempty"`    // in the queue
	Create  time.Duration `json:"create,omitempty"`  // the provider's Create
	Connect time.Duration `json:"connect,omitempty"` // until it answers, booting included
	SetUp   time.Duration `json:"set_up,omitempty"`  // bundles and provision.d
}
