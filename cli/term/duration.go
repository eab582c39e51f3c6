package term

import (
	"time"

	"github.com/hostler-project/hostler/text/words"
)

// ShortDuration formats a duration for the user, in its two largest units at most.
func ShortDuration(d time.Duration) string { return words.Short(d) }

// TypedDuration formats a duration as the user would type it: 5m, not 5m0s.
func TypedDuration(d time.Duration) string { return words.Duration(d) }

// UnknownYet stands for an estimate that is not known yet.
const UnknownYet = "unknown yet"

// AboutDuration formats an estimate with few digits; "" if it is unknown.
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
