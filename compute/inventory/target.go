package inventory

import "time"

// Target is what the director wants of a source for some time, in place of the configured
// reserve and spare. It is kept with the source. So all processes on one store keep, at release,
// what the director wants kept.
type Target struct {
	Reserve int       `json:"reserve"`
	Spare   int       `json:"spare"`
	Until   time.Time `json:"until"` // it counts until then; zero: there is no target
}
