package term

import (
	"fmt"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/text/visible"
	"github.com/hostler-project/hostler/text/words"
)

func TextOf(err error) string {
	if err == nil {
		return ""
	}
	return ErrorText(err)
}

// Listed returns an empty list for nil, else a copy.
func Listed(s []string) []string { return append([]string{}, s...) }

// ShortSize formats bytes for the user: 114.4M, in powers of 1024.
func ShortSize(n int64) string { return words.Size(n) }

// Ago says how long ago a time is.
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

// Counted formats a number of things.
func Counted(n int, thing string) string { return words.Counted(n, thing) }

// When returns nil for the zero time.
func When(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Note is the text of an error for a table: the first of several, and how many more there are.
func Note(err error) string {
	all := api.Apart(err)
	if len(all) == 0 {
		return ""
	}
	text := visible.Line(ErrorText(all[0]))
	if more := len(all) - 1; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
