package postgres

import (
	"encoding/json"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// detail is the part of an instance that no query asks for and few changes touch. It is one column,
// and the same text as in package sqlite.
type detail struct {
	Wanted     string            `json:"wanted,omitempty"`
	Reason     string            `json:"reason,omitempty"`
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

	Booked compute.Booking `json:"booked,omitzero"`
}

// unpackDetail reads the column.
func unpackDetail(text string, i *compute.Instance) error {
	if text == "" {
		return nil
	}
	var d detail
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return err
	}
	i.Wanted, i.Reason, i.ProviderID, i.Address, i.Facts = d.Wanted, d.Reason, d.ProviderID, d.Address, d.Facts
	i.Retry, i.Attempts, i.Resume, i.Cold, i.Booked = instant(d.Retry), d.Attempts, d.Resume, d.Cold, d.Booked
	i.Phases = compute.Phases{Wait: d.Wait, Create: d.Create, Connect: d.Connect, SetUp: d.SetUp}
	return nil
}

// packDetail writes the column.
func packDetail(i *compute.Instance) (string, error) {
	text, err := json.Marshal(detail{Wanted: i.Wanted, Reason: i.Reason, ProviderID: i.ProviderID, Address: i.Address,
		Facts: i.Facts, Retry: nanos(i.Retry),
		Attempts: i.Attempts, Resume: i.Resume, Wait: i.Phases.Wait, Create: i.Phases.Create, Connect: i.Phases.Connect,
		SetUp: i.Phases.SetUp, Cold: i.Cold, Booked: i.Booked})
	if string(text) == "{}" {
		return "", err
	}
	return string(text), err
}

// terms is the part of a lease that no query asks for. It is one column, as the detail of an
// instance.
type terms struct {
	Source  string        `json:"source,omitempty"`
	Purpose string        `json:"purpose,omitempty"`
	Labels  string        `json:"labels,omitempty"` // JSON again, as in package sqlite
	TTL     time.Duration `json:"ttl,omitempty"`
	Idle    time.Duration `json:"idle,omitempty"`
	Start   uint64        `json:"start,omitempty"` // of the process that it ends with
	Host    string        `json:"host,omitempty"`  // and where that is
	Pool    compute.ID    `json:"pool,omitempty"`
	Part    bool          `json:"part,omitempty"` // it has a part of the instance: Share

	Share compute.Amount   `json:"share,omitzero"`
	Holds compute.Capacity `json:"holds,omitzero"`
}

func packTerms(l *compute.Lease) (string, error) {
	t := terms{
		Source: l.Source, Purpose: l.Purpose, Labels: pack(l.Labels), TTL: l.TTL, Idle: l.Idle, Start: l.For.Start,
		Host: l.For.Host, Pool: l.Pool, Holds: l.Holds,
	}
	if l.Share != nil {
		t.Part, t.Share = true, *l.Share
	}
	b, err := json.Marshal(t)
	return string(b), err
}

func unpackTerms(text string, l *compute.Lease) error {
	var t terms
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	l.Source, l.Purpose, l.TTL, l.Idle, l.For.Start, l.For.Host, l.Pool, l.Holds = t.Source, t.Purpose, t.TTL, t.Idle, t.Start, t.Host, t.Pool, t.Holds
	if t.Part {
		l.Share = &t.Share
	}
	return unpack(t.Labels, &l.Labels)
}
