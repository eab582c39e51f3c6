package director

import (
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/director/plan"
)

// A Strategy says what level a source is to have. It is a pure function of the time and of the
// source's state.
type Strategy interface {
	Level(now time.Time, s plan.SourceState) Level
}

// Level is what a source is to have before maximum and budget: max(Reserve, in use + Spare)
// instances. More are kept up to max(Reserve, in use + Keep). The gap between Spare and Keep lets a
// strategy that measures something avoid making and discarding in turn.
type Level struct {
	Reserve int
	Spare   int
	Keep    int    // at least Spare
	Reason  string // for people, a phrase
}

// larger returns the larger of two levels, number by number.
func (l Level) larger(o Level) Level {
	switch {
	case o.Reserve <= l.Reserve && o.Spare <= l.Spare && o.Keep <= l.Keep:
		return l
	case o.Reserve >= l.Reserve && o.Spare >= l.Spare && o.Keep >= l.Keep:
		return o
	}
	return Level{max(l.Reserve, o.Reserve), max(l.Spare, o.Spare), max(l.Keep, o.Keep), l.Reason + ", and " + o.Reason}
}

// Reserve is the default strategy: the reserve and spare of the source's configuration.
type Reserve struct{}

// Level returns the configured level.
func (Reserve) Level(_ time.Time, s plan.SourceState) Level {
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

// Larger combines several strategies: of each number the largest counts.
type Larger []Strategy

// Level returns the largest numbers of all strategies.
func (all Larger) Level(now time.Time, s plan.SourceState) (l Level) {
	for n, one := range all {
		if o := one.Level(now, s); n == 0 {
			l = o
		} else {
			l = l.larger(o)
		}
	}
	return l
}
