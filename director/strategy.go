package director

import (
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// A Strategy says what a source is to have. It is a pure function of the time and of the source's
// state.
type Strategy interface {
	Level(now time.Time, s compute.SourceState) Level
}

// Level is what a source is to have before maximum and budget: max(Reserve, in use + Spare)
// instances. What is there beyond is kept up to max(Reserve, in use + Keep): the gap between Spare
// and Keep is what a strategy that measures something needs so as not to make and discard in turn.
type Level struct {
	Reserve int
	Spare   int
	Keep    int    // at least Spare
	Reason  string // for people, a phrase
}

// larger is the larger of two levels, number by number.
func (l Level) larger(o Level) Level {
	switch {
	case o.Reserve <= l.Reserve && o.Spare <= l.Spare && o.Keep <= l.Keep:
		return l
	case o.Reserve >= l.Reserve && o.Spare >= l.Spare && o.Keep >= l.Keep:
		return o
	}
	return Level{max(l.Reserve, o.Reserve), max(l.Spare, o.Spare), max(l.Keep, o.Keep), l.Reason + ", and " + o.Reason}
}

// Reserve is the strategy of a source that has no other: its reserve and its spare ones, as they
// are configured.
type Reserve struct{}

// Level is as configured.
func (Reserve) Level(_ time.Time, s compute.SourceState) Level {
	var parts []string
	if s.Reserve > 0 {
		parts = append(parts, fmt.Sprintf("reserve %d", s.Reserve))
	}
	if s.Spare > 0 {
		parts = append(parts, fmt.Sprintf("spare %d", s.Spare))
	}
	if len(parts) == 0 {
		parts = []string{"no reserve and no spare"}
	}
	return Level{s.Reserve, s.Spare, s.Spare, strings.Join(parts, " and ")}
}

// Larger has several strategies at once: of each number the largest counts.
type Larger []Strategy

// Level is the largest of all.
func (all Larger) Level(now time.Time, s compute.SourceState) (l Level) {
	for n, one := range all {
		if o := one.Level(now, s); n == 0 {
			l = o
		} else {
			l = l.larger(o)
		}
	}
	return l
}
