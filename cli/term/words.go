package term

import (
	"fmt"
	"time"

	"github.com/hostler-project/hostler/text/words"
)

func TextOf(err error) string {
	if err == nil {
		return ""
	}
	return ErrorText(err)
}

// Listed makes a missing list an empty one.
func Listed(s []string) []string { return append([]string{}, s...) }

// ShortSize writes bytes for people: 114.4M, powers of 1024 as everywhere.
func ShortSize(n int64) string { return words.Size(n) }

// Ago says how long something is past.
func Ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := time.Since(t); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}

func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Counted writes a number of things.
func Counted(n int, thing string) string { return words.Counted(n, thing) }

// When is null for the zero time.
func When(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
