package leasecmd

import (
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// These are the documents of --json. docs/json.md describes each field, and a test compares the
// two. Times are RFC 3339, durations seconds, sizes bytes. null means no limit, or a time that
// never comes.

// SourceView is a source in `status --json`.
type SourceView struct {
	Name        string     `json:"name"`
	Type        string     `json:"type"`
	Cached      int        `json:"cached"`
	Cold        int        `json:"cold,omitempty"`
	InUse       int        `json:"in_use"`
	Max         int        `json:"max"`
	Available   *int       `json:"available"`
	Wanted      int        `json:"wanted"`
	Reserve     int        `json:"reserve"`
	Spare       int        `json:"spare"`
	Concurrency int        `json:"concurrency"`
	States      StateView  `json:"states"`
	Waiting     int        `json:"waiting"`
	Orphaned    bool       `json:"orphaned"`
	Error       string     `json:"error,omitempty"`
	Failures    int        `json:"failures"`
	LastError   string     `json:"last_error,omitempty"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`

	Unready *unreadyView `json:"unready,omitempty"`
	Sources []string     `json:"sources,omitempty"`
}

// unreadyView is an instance of a source that has not become ready.
type unreadyView = api.Unready

// StateView counts a source's instances by state.
type StateView struct {
	Creating   int `json:"creating"`
	SettingUp  int `json:"setting_up"`
	Ready      int `json:"ready"`
	Leased     int `json:"leased"`
	Cleaning   int `json:"cleaning"`
	Failed     int `json:"failed"`
	Discarding int `json:"discarding"`
	Held       int `json:"held"`
}

// instanceView is an instance in `status --json`.
type instanceView struct {
	Name       string            `json:"name"`
	Source     string            `json:"source"`
	State      string            `json:"state"`
	Cold       bool              `json:"cold,omitempty"`
	Since      time.Time         `json:"since"`
	Created    time.Time         `json:"created"`
	Address    string            `json:"address,omitempty"`
	ProviderID string            `json:"provider_id,omitempty"`
	Facts      map[string]string `json:"facts,omitempty"`
	Uses       int               `json:"uses"`
	Generation int64             `json:"generation"`
	Behind     string            `json:"behind,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Phases     PhasesView        `json:"phases"`
	Lease      *leaseView        `json:"lease,omitempty"`
	Shares     []leaseView       `json:"shares,omitempty"`
	Booked     *amountView       `json:"booked,omitempty"`
}

// amountView is a share of an instance.
type amountView struct {
	Cores  float64 `json:"cores"`
	Memory int64   `json:"memory"`
	Disk   int64   `json:"disk"`
	GPUs   int     `json:"gpus"`
}

// PhasesView has the seconds of each phase of making an instance.
type PhasesView struct {
	Wait    float64 `json:"wait"`
	Create  float64 `json:"create"`
	Connect float64 `json:"connect"`
	SetUp   float64 `json:"set_up"`
}

// leaseView is a lease, in `acquire`, `extend` and `status --json`.
type leaseView struct {
	ID         string            `json:"id"`
	Name       string            `json:"name,omitempty"`
	Instance   string            `json:"instance"`
	Source     string            `json:"source"`
	Owner      string            `json:"owner"`
	Project    string            `json:"project,omitempty"`
	Purpose    string            `json:"purpose,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Generation int64             `json:"generation"`
	Given      time.Time         `json:"given"`
	Used       time.Time         `json:"used"`
	TTL        float64           `json:"ttl"`
	Idle       float64           `json:"idle"`
	Expires    *time.Time        `json:"expires"`
	Deadline   *time.Time        `json:"deadline"`
	PID        int               `json:"pid,omitempty"`
	Pool       string            `json:"pool,omitempty"`
	Share      *amountView       `json:"share,omitempty"`
	Cost       float64           `json:"cost_per_hour,omitempty"`
}

// statusView is `status --json`.
type statusView struct {
	Sources   []SourceView   `json:"sources"`
	Instances []instanceView `json:"instances"`
	Computers []slapNodeView `json:"computers,omitempty"`
	Store     string         `json:"store,omitempty"`
}

// ReleasedView says what became of a name, in `release --json` and `discard --json`.
type ReleasedView struct {
	Name     string `json:"name"`
	Instance string `json:"instance"`
	State    string `json:"state"`
	Already  bool   `json:"already"`
}

func viewSource(s compute.SourceStatus) SourceView {
	v := SourceView{
		Name: s.Name, Type: s.Type, Cached: s.Counts.Cached(), Cold: s.Cold, InUse: s.Counts.InUse(), Max: s.Maximum,
		Available: s.Available, Wanted: s.Wanted,
		Reserve: s.Reserve, Spare: s.Spare, Concurrency: s.Concurrency, States: StateView(s.Counts), Waiting: s.Waiting,
		Orphaned: s.Orphaned,
		Failures: s.Failures, LastError: s.LastError, PausedUntil: term.When(s.Paused), Unready: api.NewUnready(s.Unready),
		Sources: s.Children,
	}
	if s.Broken != nil {
		v.Error = term.ErrorText(s.Broken)
	}
	return v
}

func viewInstance(i compute.Instance, leases []*compute.Lease) instanceView {
	v := instanceView{
		Name: string(i.ID), Source: i.Source, State: string(i.State), Since: i.Since, Created: i.Created,
		Address: i.Address, ProviderID: i.ProviderID,
		Facts: i.Facts, Uses: i.Uses, Generation: i.Generation, Behind: string(i.Child), Reason: i.Reason,
		Phases: ViewPhases(i.Phases), Cold: i.Cold,
	}
	for _, l := range leases {
		view := ViewLease(*l)
		if v.Lease == nil {
			v.Lease = &view
		}
		if l.Share != nil {
			v.Shares = append(v.Shares, view)
		}
	}
	if len(v.Shares) > 0 {
		v.Booked = viewAmount(compute.Booked(leases))
	}
	return v
}

func viewAmount(a compute.Amount) *amountView { return &amountView{a.Cores, a.Memory, a.Disk, a.GPUs} }

func ViewPhases(p compute.Phases) PhasesView {
	return PhasesView{p.Wait.Seconds(), p.Create.Seconds(), p.Connect.Seconds(), p.SetUp.Seconds()}
}

func ViewLease(l compute.Lease) leaseView {
	v := leaseView{
		ID: l.ID, Name: l.Name, Instance: string(l.Instance), Source: l.Source, Owner: l.Owner, Project: l.Project,
		Purpose: l.Purpose, Labels: api.ShownLabels(l.Labels),
		Generation: l.Generation, Given: l.Given, Used: l.Used, TTL: l.TTL.Seconds(), Idle: l.Idle.Seconds(), Expires: term.When(l.Expires),
		Deadline: term.When(l.Deadline()), PID: l.For.PID, Pool: string(l.Pool), Cost: l.Holds.Cost,
	}
	if l.Share != nil {
		v.Share = viewAmount(*l.Share)
	}
	return v
}
