package record

import (
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Terms are the part of a lease that no query asks for. They are much the same from lease to lease,
// and can be compared.
type Terms struct {
	Source  string        `json:"source,omitempty"`
	Purpose string        `json:"purpose,omitempty"`
	Labels  string        `json:"labels,omitempty"` // JSON again, so that terms can be compared
	TTL     time.Duration `json:"ttl,omitempty"`
	Idle    time.Duration `json:"idle,omitempty"`
	Start   uint64        `json:"start,omitempty"` // of the process that it ends with
	Host    string        `json:"host,omitempty"`  // and where that is
	Pool    compute.ID    `json:"pool,omitempty"`
	Cause   compute.Cause `json:"cause,omitempty"`
	Part    bool          `json:"part,omitempty"` // it has a part of the instance: Share

	Share compute.Resources `json:"share,omitzero"`
	Holds compute.Capacity  `json:"holds,omitzero"`
}

// TermsOf returns a lease's.
func TermsOf(l *compute.Lease) Terms {
	t := Terms{
		Source: l.Source, Purpose: l.Purpose, Labels: Pack(l.Labels), TTL: l.TTL, Idle: l.Idle, Start: l.For.Start,
		Host: l.For.Host, Pool: l.Pool, Cause: l.Cause, Holds: l.Holds,
	}
	if l.Share != nil {
		t.Part, t.Share = true, *l.Share
	}
	return t
}

// Give puts them into a lease.
func (t Terms) Give(l *compute.Lease) error {
	l.Cause = t.Cause
	l.Source, l.Purpose, l.TTL, l.Idle, l.For.Start, l.For.Host, l.Pool, l.Holds = t.Source, t.Purpose, t.TTL, t.Idle,
		t.Start, t.Host, t.Pool, t.Holds
	if t.Part {
		share := t.Share
		l.Share = &share
	}
	return Unpack(t.Labels, &l.Labels)
}

// ReadTerms puts a column of terms into a lease.
func ReadTerms(text string, l *compute.Lease) error {
	var t Terms
	if err := Unpack(text, &t); err != nil {
		return fmt.Errorf("record of lease %s: %w", l.ID, err)
	}
	return t.Give(l)
}

// Text is the column; "": there is nothing.
func (t Terms) Text() string { return column(t) }
