package record

import (
	"github.com/hostler-project/hostler/compute/inventory"
)

// Asked is the part of a waiter that no query asks for.
type Asked struct {
	Priority int     `json:"priority,omitempty"`
	Purpose  string  `json:"purpose,omitempty"`
	Cores    float64 `json:"cores,omitempty"`
	Memory   int64   `json:"memory,omitempty"`
	Disk     int64   `json:"disk,omitempty"`
	Passed   int     `json:"passed,omitempty"`
	Reason   string  `json:"reason,omitempty"`
	Asks     string  `json:"asks,omitempty"`
}

// AskedOf returns a waiter's.
func AskedOf(w *inventory.Waiter) Asked {
	return Asked{w.Priority, w.Purpose, w.Cores, w.Memory, w.Disk, w.Passed, w.Reason, w.Asks}
}

// Give puts it into a waiter.
func (a Asked) Give(w *inventory.Waiter) {
	w.Priority, w.Purpose, w.Cores, w.Memory, w.Disk, w.Passed, w.Reason, w.Asks = a.Priority, a.Purpose, a.Cores,
		a.Memory, a.Disk, a.Passed, a.Reason, a.Asks
}

// Text is the column; "": there is nothing.
func (a Asked) Text() string { return column(a) }
