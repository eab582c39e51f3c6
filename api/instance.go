package api

import (
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Instance is the document of an instance.
type Instance struct {
	Name       string            `json:"name"`
	Source     string            `json:"source" doc:"its source's name"`
	State      string            `json:"state" enum:"creating,setting-up,ready,leased,cleaning,failed,discarding,held"`
	Cold       bool              `json:"cold,omitempty" doc:"it is stopped: ready, and started before it is handed out"`
	Since      time.Time         `json:"since" doc:"when it got into this state"`
	Created    time.Time         `json:"created" doc:"when it was recorded"`
	Address    string            `json:"address,omitempty"`
	ProviderID string            `json:"provider_id,omitempty" doc:"the provider's own identifier"`
	Facts      map[string]string `json:"facts,omitempty" doc:"what the provider knows"`
	Uses       int               `json:"uses" doc:"how often it was handed out"`
	Generation int64             `json:"generation" doc:"grows with each hand-out"`
	Behind     string            `json:"behind,omitempty" doc:"of a pool's instance: the child's instance"`
	Reason     string            `json:"reason,omitempty" doc:"why it is failed or held, or why discarding it failed"`
	Attempts   int               `json:"attempts,omitempty" doc:"failed tries to discard it"`
	Retry      *time.Time        `json:"retry,omitempty" doc:"not before this is discarding it tried again"`
	Phases     Phases            `json:"phases"`
	Lease      *Lease            `json:"lease,omitempty" doc:"that it is under; where leases have parts of it, the one that was asked for, or the first"`
	Shares     []Lease           `json:"shares,omitempty" doc:"where leases have parts of it: all of them, the oldest first"`
	Booked     *compute.Amount   `json:"booked,omitempty" doc:"the sum of these parts; the facts tell of how much"`
}

// Phases says how many seconds each phase of making an instance took; 0: it was not needed.
type Phases struct {
	Wait    float64 `json:"wait" doc:"in the queue"`
	Create  float64 `json:"create" doc:"the provider made it"`
	Connect float64 `json:"connect" doc:"until it answered"`
	SetUp   float64 `json:"set_up" doc:"provision.d"`
}

// NewInstance makes the document of an instance with its lease; nil: it has none.
func NewInstance(i compute.Instance, lease *compute.Lease) Instance {
	v := Instance{
		Name: string(i.ID), Source: i.Source, State: string(i.State), Since: i.Since, Created: i.Created,
		Address: i.Address, ProviderID: i.ProviderID,
		Facts: i.Facts, Uses: i.Uses, Generation: i.Generation, Behind: string(i.Child), Reason: i.Reason, Phases: NewPhases(i.Phases),
		Attempts: i.Attempts, Retry: when(i.Retry), Cold: i.Cold,
	}
	if lease != nil {
		l := NewLease(*lease)
		v.Lease = &l
	}
	return v
}

// WithShares adds the leases that share the instance.
func (v Instance) WithShares(leases []*compute.Lease) Instance {
	if len(leases) == 0 || leases[0].Share == nil {
		return v
	}
	for _, l := range leases {
		v.Shares = append(v.Shares, NewLease(*l))
	}
	booked := compute.Booked(leases)
	v.Booked = &booked
	return v
}

// NewPhases makes the document of phases.
func NewPhases(p compute.Phases) Phases {
	return Phases{p.Wait.Seconds(), p.Create.Seconds(), p.Connect.Seconds(), p.SetUp.Seconds()}
}

// Compute returns the instance of a document and its lease, with what the document has of them.
func (v Instance) Compute() (compute.Instance, *compute.Lease) {
	i := compute.Instance{
		ID: compute.ID(v.Name), Source: v.Source, State: compute.State(v.State), Since: v.Since, Created: v.Created, Address: v.Address,
		ProviderID: v.ProviderID, Facts: v.Facts, Uses: v.Uses, Generation: v.Generation, Child: compute.ID(v.Behind),
		Reason: v.Reason, Attempts: v.Attempts, Cold: v.Cold,
		Phases: compute.Phases{
			Wait: span(v.Phases.Wait), Create: span(v.Phases.Create), Connect: span(v.Phases.Connect),
			SetUp: span(v.Phases.SetUp),
		},
	}
	if v.Retry != nil {
		i.Retry = *v.Retry
	}
	if v.Lease == nil {
		return i, nil
	}
	l := v.Lease.Compute()
	return i, &l
}

// HoldRequest asks to keep instances aside.
type HoldRequest struct {
	Names  []string `json:"names" minItems:"1" maxItems:"100000" doc:"of instances, or of their leases"`
	Reason string   `json:"reason,omitempty" maxLength:"1000" doc:"why, for people to read"`
}
