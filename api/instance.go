package api

import (
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
)

// Instance is the document of an instance.
type Instance struct {
	Name       string             `json:"name"`
	Source     string             `json:"source" doc:"Name of the source"`
	State      string             `json:"state" enum:"creating,setting-up,ready,leased,cleaning,failed,discarding,held"`
	Cold       bool               `json:"cold,omitempty" doc:"The instance is ready but stopped. It is started before it is handed out."`
	Since      time.Time          `json:"since" doc:"When the instance entered this state"`
	Created    time.Time          `json:"created" doc:"When the instance was recorded"`
	Address    string             `json:"address,omitempty"`
	ProviderID string             `json:"provider_id,omitempty" doc:"The provider's own identifier"`
	Facts      map[string]string  `json:"facts,omitempty" doc:"What the provider knows of the instance"`
	Uses       int                `json:"uses" doc:"How often the instance was handed out"`
	Generation int64              `json:"generation" doc:"A number that grows each time the instance is handed out"`
	Behind     string             `json:"behind,omitempty" doc:"For a pool's instance: the source's instance that serves it."`
	Reason     string             `json:"reason,omitempty" doc:"Why the instance is failed or held, or why discarding it failed"`
	Attempts   int                `json:"attempts,omitempty" doc:"Failed attempts to discard the instance"`
	Retry      *time.Time         `json:"retry,omitempty" doc:"The next attempt to discard the instance is not before this time"`
	Phases     Phases             `json:"phases"`
	Lease      *Lease             `json:"lease,omitempty" doc:"Lease of the instance. If leases share it: the requested one, or the first."`
	Shares     []Lease            `json:"shares,omitempty" doc:"All leases that share the instance, the oldest first"`
	Booked     *compute.Resources `json:"booked,omitempty" doc:"The sum of what these leases have booked. The facts have the total."`
}

// Phases says how many seconds each phase of making an instance took; 0: it was not needed.
type Phases struct {
	Wait    float64 `json:"wait" doc:"Time in the queue"`
	Create  float64 `json:"create" doc:"Time until the provider had made the instance"`
	Connect float64 `json:"connect" doc:"Time until the instance answered"`
	SetUp   float64 `json:"set_up" doc:"Time in provision.d"`
}

// NewInstance makes the document of an instance with its lease; nil: it has none.
func NewInstance(i compute.Instance, lease *compute.Lease) Instance {
	v := Instance{
		Name: string(i.ID), Source: i.Source, State: string(i.State), Since: i.Since, Created: i.Created,
		Address: i.Address, ProviderID: i.ProviderID,
		Facts: i.Facts, Uses: i.Uses, Generation: i.Generation, Behind: string(i.Child), Reason: i.Why(), Phases: NewPhases(i.Phases),
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
	booked := share.Booked(leases)
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
		Reason: v.Reason, Work: compute.Work{Attempts: v.Attempts}, Cold: v.Cold,
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
	Names  []string `json:"names" minItems:"1" maxItems:"100000" doc:"Names of instances, or of their leases"`
	Reason string   `json:"reason,omitempty" maxLength:"1000" doc:"The reason, for people to read"`
}
