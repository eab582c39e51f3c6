package record

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Detail is the part of an instance that no query asks for and few changes touch.
type Detail struct {
	Wanted     string            `json:"wanted,omitempty"`
	Fill       bool              `json:"fill,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Failure    string            `json:"failure,omitempty"`
	Cause      compute.Cause     `json:"cause,omitempty"`
	ProviderID string            `json:"provider_id,omitempty"`
	Address    string            `json:"address,omitempty"`
	Facts      map[string]string `json:"facts,omitempty"`
	Retry      int64             `json:"retry,omitempty"`
	Attempts   int               `json:"attempts,omitempty"`
	Resume     int               `json:"resume,omitempty"`
	Wait       time.Duration     `json:"wait,omitempty"`
	Create     time.Duration     `json:"create,omitempty"`
	Connect    time.Duration     `json:"connect,omitempty"`
	SetUp      time.Duration     `json:"set_up,omitempty"`
	Cold       bool              `json:"cold,omitempty"`

	Booked compute.Reservation `json:"booked,omitzero"`
}

// DetailOf returns an instance's. It shares the map of the facts.
func DetailOf(i *compute.Instance) Detail {
	return Detail{Wanted: i.Wanted, Fill: i.Fill, Reason: i.Reason, Failure: i.Failure, Cause: i.Cause,
		ProviderID: i.ProviderID, Address: i.Address,
		Facts: i.Facts, Retry: Nanos(i.Retry),
		Attempts: i.Attempts, Resume: i.Resume, Wait: i.Phases.Wait, Create: i.Phases.Create, Connect: i.Phases.Connect,
		SetUp: i.Phases.SetUp, Cold: i.Cold, Booked: i.Booked}
}

// Give puts it into an instance, with a map of facts that is the instance's own.
func (d *Detail) Give(i *compute.Instance) {
	i.Wanted, i.Fill, i.Reason, i.Failure, i.Cause = d.Wanted, d.Fill, d.Reason, d.Failure, d.Cause
	i.ProviderID, i.Address, i.Facts = d.ProviderID, d.Address, maps.Clone(d.Facts)
	i.Retry, i.Attempts, i.Resume = Time(d.Retry), d.Attempts, d.Resume
	i.Phases = compute.Phases{Wait: d.Wait, Create: d.Create, Connect: d.Connect, SetUp: d.SetUp}
	i.Cold, i.Booked = d.Cold, d.Booked
}

// ReadDetail puts a column of details into an instance.
func ReadDetail(text string, i *compute.Instance) error {
	var d Detail
	if err := Unpack(text, &d); err != nil {
		return fmt.Errorf("record of %s: %w", i.ID, err)
	}
	d.Give(i)
	return nil
}

// Equal reports whether two have the same content.
func (d *Detail) Equal(o *Detail) bool {
	return d.Wanted == o.Wanted && d.Fill == o.Fill && d.Reason == o.Reason && d.Failure == o.Failure && d.Cause == o.Cause &&
		d.ProviderID == o.ProviderID && d.Address == o.Address &&
		maps.Equal(d.Facts, o.Facts) &&
		d.Retry == o.Retry && d.Attempts == o.Attempts && d.Resume == o.Resume &&
		d.Wait == o.Wait && d.Create == o.Create && d.Connect == o.Connect && d.SetUp == o.SetUp && d.Cold == o.Cold && d.Booked == o.Booked
}

// Text is the column; "": there is nothing.
func (d *Detail) Text() string {
	if d.Equal(&Detail{}) {
		return ""
	}
	text, _ := json.Marshal(d) // strings, numbers and maps of strings cannot fail
	return string(text)
}
