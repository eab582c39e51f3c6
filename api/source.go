package api

import (
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Source is the document of a source and its state.
type Source struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Cached      int    `json:"cached" doc:"Instances that are ready, being made or being cleaned, and not in use"`
	Cold        int    `json:"cold,omitempty" doc:"Cached instances that are stopped"`
	InUse       int    `json:"in_use" doc:"Leased instances"`
	Max         int    `json:"max" doc:"Highest number of instances, cached and in use together. 0 means no limit."`
	Available   *int   `json:"available" doc:"How many more instances may be in use. null means no limit."`
	Wanted      int    `json:"wanted" doc:"min(max, max(reserve, in_use + spare))"`
	Reserve     int    `json:"reserve" doc:"Lowest number of instances, cached and in use together"`
	Spare       int    `json:"spare" doc:"Number of ready instances to keep beside those in use"`
	Concurrency int    `json:"concurrency" doc:"Highest number of simultaneous runs on an instance. 0 means no limit."`
	States      States `json:"states"`
	Waiting     int    `json:"waiting" doc:"Requests in the queue"`
	Orphaned    bool   `json:"orphaned" doc:"The source has instances, but the configuration does not define it"`
	Health
	Sources   []string `json:"sources,omitempty" doc:"Sources of a pool, in order of preference"`
	TTL       float64  `json:"ttl" doc:"Seconds that a lease lives if its request has no ttl. 0 means no limit."`
	LeaseIdle float64  `json:"lease_idle" doc:"Seconds that a lease may be unused by default. 0 means no default."`
	Fixed     int      `json:"fixed,omitempty" doc:"Number of computers, if the source has a fixed set and makes none"`
	Image     string   `json:"image,omitempty" doc:"Image of the instances"`
}

// Unready says that no instance of a source has become ready since the source was changed.
type Unready struct {
	Since    time.Time `json:"since" doc:"When the source was changed"`
	Changed  string    `json:"changed,omitempty" doc:"configuration or template. Left out if no instance was made before."`
	Failures int       `json:"failures" doc:"Number of instances that did not become ready"`
	Error    string    `json:"error" doc:"Error of the last failure, or why no instance can be made"`
}

// newUnready makes the document; nil stays nil.
func newUnready(u *inventory.Unready) *Unready {
	if u == nil {
		return nil
	}
	return &Unready{Since: u.Since, Changed: u.Changed, Failures: u.Failures, Error: u.Why}
}

// States counts a source's instances by state; each is counted once.
type States struct {
	Creating   int `json:"creating"`
	SettingUp  int `json:"setting_up"`
	Ready      int `json:"ready"`
	Leased     int `json:"leased"`
	Cleaning   int `json:"cleaning"`
	Failed     int `json:"failed"`
	Discarding int `json:"discarding"`
	Held       int `json:"held" doc:"Instances that are kept for a person to look at. No other number counts them."`
}

// Health is why nothing can be had of a source, or may not be.
type Health struct {
	Error            string     `json:"error,omitempty" doc:"Why the source cannot be used"`
	Failures         int        `json:"failures" doc:"Failures to make an instance, in a row"`
	LastError        string     `json:"last_error,omitempty" doc:"Error of the last failure"`
	PausedUntil      *time.Time `json:"paused_until,omitempty" doc:"After failures, no instance is made before this time"`
	Unready          *Unready   `json:"unready,omitempty" doc:"No instance has become ready since the source was changed. Left out if one has, or if none has failed yet."`
	UnreachableSince *time.Time `json:"unreachable_since,omitempty" doc:"Since when the place of the source does not answer"`
}

// NewSource makes the document of a source. broken says why it cannot be used; "": it can.
func NewSource(s inventory.SourceStatus, broken string) Source {
	return Source{
		Name: s.Name, Type: s.Type, Cached: s.Counts.Cached(), Cold: s.Cold, InUse: s.Counts.InUse(), Max: s.Maximum,
		Available: s.Available, Wanted: s.Wanted,
		Reserve: s.Reserve, Spare: s.Spare, Concurrency: s.Concurrency, States: States(s.Counts), Waiting: s.Waiting, Orphaned: s.Orphaned,
		Health: Health{
			Error: broken, Failures: s.Failures, LastError: s.LastError, PausedUntil: when(s.Paused), Unready: newUnready(s.Unready),
			UnreachableSince: when(s.Unreachable),
		},
		Sources: s.Children, TTL: s.TTL.Seconds(),
		LeaseIdle: s.LeaseIdle.Seconds(), Fixed: s.Fixed, Image: s.Image,
	}
}

// Compute returns the source of a document. A source that cannot be used has a Broken error of kind
// compute.ErrInvalid.
func (v Source) Compute() inventory.SourceStatus {
	s := inventory.SourceStatus{
		Name: v.Name, Type: v.Type, Counts: inventory.Counts(v.States), Cold: v.Cold, Maximum: v.Max,
		Available: v.Available, Wanted: v.Wanted, Reserve: v.Reserve,
		Spare: v.Spare, Concurrency: v.Concurrency, Waiting: v.Waiting, Orphaned: v.Orphaned, Children: v.Sources, TTL: span(v.TTL),
		LeaseIdle: span(v.LeaseIdle), Fixed: v.Fixed, Image: v.Image,
	}
	s.Failures, s.LastError = v.Failures, v.LastError
	if v.UnreachableSince != nil {
		s.Unreachable = *v.UnreachableSince
	}
	if v.PausedUntil != nil {
		s.Paused = *v.PausedUntil
	}
	if u := v.Unready; u != nil {
		s.Unready = &inventory.Unready{Since: u.Since, Changed: u.Changed, Failures: u.Failures, Why: u.Error}
	}
	if v.Error != "" {
		s.Broken = Problem{Title: compute.ErrInvalid.Error(), Code: "invalid", Detail: v.Error}.Err()
	}
	return s
}

// TestResult is the result of testing a source: the seconds of each step.
type TestResult struct {
	Source   string  `json:"source"`
	Instance string  `json:"instance" doc:"The instance that was made"`
	Leaf     string  `json:"leaf" doc:"The instance that serves it, if it belongs to a pool. Otherwise the same."`
	Create   float64 `json:"create"`
	Connect  float64 `json:"connect"`
	Run      float64 `json:"run"`
	Destroy  float64 `json:"destroy"`
}

// NewTestResult makes the document of a result.
func NewTestResult(r inventory.TestResult) TestResult {
	return TestResult{
		r.Source, string(r.Instance), string(r.Leaf), r.Create.Seconds(), r.Connect.Seconds(), r.Run.Seconds(),
		r.Destroy.Seconds(),
	}
}

// Compute returns the result of a document.
func (r TestResult) Compute() inventory.TestResult {
	return inventory.TestResult{
		Source: r.Source, Instance: compute.ID(r.Instance), Leaf: compute.ID(r.Leaf), Create: span(r.Create),
		Connect: span(r.Connect), Run: span(r.Run), Destroy: span(r.Destroy),
	}
}
