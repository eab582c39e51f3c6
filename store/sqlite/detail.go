package sqlite

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// detail is the part of an instance that no query asks for and few changes touch. It is one column:
// each column of a row costs its share in every read and write of it.
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

func (d *detail) give(i *compute.Instance) {
	i.Wanted, i.Reason, i.ProviderID, i.Address, i.Facts = d.Wanted, d.Reason, d.ProviderID, d.Address, maps.Clone(d.Facts)
	i.Retry, i.Attempts, i.Resume = instant(d.Retry), d.Attempts, d.Resume
	i.Phases = compute.Phases{Wait: d.Wait, Create: d.Create, Connect: d.Connect, SetUp: d.SetUp}
	i.Cold, i.Booked = d.Cold, d.Booked
}

func detailOf(i *compute.Instance) detail {
	return detail{Wanted: i.Wanted, Reason: i.Reason, ProviderID: i.ProviderID, Address: i.Address, Facts: i.Facts, Retry: nanos(i.Retry),
		Attempts: i.Attempts, Resume: i.Resume, Wait: i.Phases.Wait, Create: i.Phases.Create, Connect: i.Phases.Connect,
		SetUp: i.Phases.SetUp, Cold: i.Cold, Booked: i.Booked}
}

func (d *detail) equal(o *detail) bool {
	return d.Wanted == o.Wanted && d.Reason == o.Reason && d.ProviderID == o.ProviderID && d.Address == o.Address &&
		maps.Equal(d.Facts, o.Facts) &&
		d.Retry == o.Retry && d.Attempts == o.Attempts && d.Resume == o.Resume &&
		d.Wait == o.Wait && d.Create == o.Create && d.Connect == o.Connect && d.SetUp == o.SetUp && d.Cold == o.Cold && d.Booked == o.Booked
}

// details is how many decoded ones a session remembers; then it begins anew.
const details = 512

// detail decodes a column, or returns the last result for the same text.
func (s *session) detail(text string) (*detail, error) {
	if d := s.details[text]; d != nil {
		return d, nil
	}
	d := &detail{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), d); err != nil {
			return nil, err
		}
	}
	if s.details == nil || len(s.details) >= details {
		s.details = map[string]*detail{}
	}
	s.details[text] = d
	return d, nil
}

// packDetail encodes what goes into the column; was is what stands there, as far as it is known.
func (s *session) packDetail(i *compute.Instance, was string) (string, error) {
	d := detailOf(i)
	if d.equal(&detail{}) {
		return "", nil
	}
	if was != "" {
		if old, err := s.detail(was); err == nil && d.equal(old) {
			return was, nil
		}
	}
	text, err := json.Marshal(d)
	return string(text), err
}
