package term

import (
	"fmt"
	"strings"
	"time"
)

// ShortDuration writes a duration for people, in its two largest units at most.
func ShortDuration(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// TypedDuration writes a duration as a person would type it: 5m, not 5m0s.
func TypedDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

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
