package sqlite

import (
	"encoding/json"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// terms is the part of a lease that no query asks for. It is one column, as the detail of an
// instance, and much the same from lease to lease.
type terms struct {
	Source  string        `json:"source,omitempty"`
	Purpose string        `json:"purpose,omitempty"`
	Labels  string        `json:"labels,omitempty"` // JSON again, so that terms can be compared
	TTL     time.Duration `json:"ttl,omitempty"`
	Idle    time.Duration `json:"idle,omitempty"`
	Start   uint64        `json:"start,omitempty"` // of the process that it ends with
	Host    string        `json:"host,omitempty"`  // and where that is
	Pool    compute.ID    `json:"pool,omitempty"`
	Part    bool          `json:"part,omitempty"` // it has a part of the instance: Share

	Share compute.Amount   `json:"share,omitzero"`
	Holds compute.Capacity `json:"holds,omitzero"`
}

// termsMemory remembers how terms are written, both ways.
type termsMemory struct {
	texts map[terms]string
	terms map[string]terms
}

// text writes a lease's terms.
func (m *termsMemory) text(l *compute.Lease) (string, error) {
	t := terms{
		Source: l.Source, Purpose: l.Purpose, Labels: pack(l.Labels), TTL: l.TTL, Idle: l.Idle, Start: l.For.Start,
		Host: l.For.Host, Pool: l.Pool, Holds: l.Holds,
	}
	if l.Share != nil {
		t.Part, t.Share = true, *l.Share
	}
	if text, ok := m.texts[t]; ok {
		return text, nil
	}
	b, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	m.remember(t, string(b))
	return string(b), nil
}

// give reads a lease's terms.
func (m *termsMemory) give(text string, l *compute.Lease) error {
	t, ok := m.terms[text]
	if !ok {
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return err
		}
		m.remember(t, text)
	}
	l.Source, l.Purpose, l.TTL, l.Idle, l.For.Start, l.For.Host, l.Pool, l.Holds = t.Source, t.Purpose, t.TTL, t.Idle, t.Start, t.Host, t.Pool, t.Holds
	if t.Part {
		l.Share = &t.Share
	}
	return unpack(t.Labels, &l.Labels)
}

func (m *termsMemory) remember(t terms, text string) {
	if m.texts == nil || len(m.texts) >= details || len(m.terms) >= details {
		m.texts, m.terms = map[terms]string{}, map[string]terms{}
	}
	m.texts[t], m.terms[text] = text, t
}
