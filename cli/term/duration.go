package term

import (
	"time"

	"github.com/hostler-project/hostler/text/words"
)

// ShortDuration writes a duration for people, in its two largest units at most.
func ShortDuration(d time.Duration) string { return words.Short(d) }

// TypedDuration writes a duration as a person would type it: 5m, not 5m0s.
func TypedDuration(d time.Duration) string { return words.Duration(d) }

// UnknownYet stands for an estimate that there is none of yet.
const UnknownYet = "unknown yet"

// AboutDuration writes an estimate with no more digits than it has; "" if it is not known.
func AboutDuration(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Second:
		return TypedDuration(d.Round(time.Second) + map[bool]time.Duration{true: time.Second}[d < time.Second/2])
	case d < time.Minute:
		return TypedDuration(d.Round(5 * time.Second))
	case d < time.Hour:
		return TypedDuration(d.Round(time.Minute))
	}
	return TypedDuration(d.Round(10 * time.Minute))
}
