// Package record says how the records of instances, leases and waiters are written, the same for
// each store: times as numbers, small maps as texts, and what no query asks for of a record as one
// column of JSON. Each column of a row costs its share in every read and write of it.
package record

import (
	"encoding/json"
	"math"
	"strings"
	"time"
)

// Nanos is a time as it is stored: nanoseconds since 1970, the zero time as 0. A time after the
// year 2261, such as the end of a lease of 292 years, is stored as the last possible moment.
func Nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if t.After(latest) {
		return math.MaxInt64
	}
	return t.UnixNano()
}

var latest = time.Unix(0, math.MaxInt64)

// Time is what Nanos wrote.
func Time(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// Pack writes a small map as JSON, and nothing as "".
func Pack[T ~map[string]string](m T) string {
	switch len(m) {
	case 0:
		return ""
	case 1: // as nearly always, and then a word and a number
		for k, v := range m {
			if plain(k) && plain(v) {
				return `{"` + k + `":"` + v + `"}`
			}
		}
	}
	b, _ := json.Marshal(m) // a map of strings cannot fail
	return string(b)
}

// plain reports whether JSON writes a string as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// Unpack reads a column of JSON; "" leaves to as it is.
func Unpack[T any](s string, to *T) error {
	if s == "" {
		return nil
	}
	// of those that Pack writes without JSON none needs it
	if m, ok := any(to).(*map[string]string); ok {
		inner, begins := strings.CutPrefix(s, `{"`)
		inner, ends := strings.CutSuffix(inner, `"}`)
		if k, v, parts := strings.Cut(inner, `":"`); begins && ends && parts && plain(k) && plain(v) {
			*m = map[string]string{k: v}
			return nil
		}
	}
	return json.Unmarshal([]byte(s), to)
}

// column writes a column of JSON, and a value that is zero as "".
func column[T comparable](v T) string {
	if v == *new(T) {
		return ""
	}
	text, _ := json.Marshal(v) // strings and numbers cannot fail
	return string(text)
}
