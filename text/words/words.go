// Package words writes numbers for people: sizes, times, counts.
package words

import (
	"fmt"
	"strings"
	"time"
)

// Size writes bytes: 114.4M, powers of 1024 as everywhere.
func Size(n int64) string {
	f, units := float64(n), "KMGTPE"
	if n < 1024 {
		return fmt.Sprint(n)
	}
	for f /= 1024; f >= 999.95 && len(units) > 1; f /= 1024 {
		units = units[1:]
	}
	return fmt.Sprintf("%.1f%c", f, units[0])
}

// Counted writes a number of things.
func Counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Duration writes a duration as a person would type it: 5m, not 5m0s.
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Short writes a duration for people, in its two largest units at most.
func Short(d time.Duration) string {
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
