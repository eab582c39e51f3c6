package record_test

import (
	"maps"
	"math"
	"testing"
	"time"

	"github.com/hostler-project/hostler/store/record"
)

// A small map is read as it was written, whatever is in it.
func FuzzPack(f *testing.F) {
	f.Add("rests_on", "12", "", "")
	f.Add(`a":"b`, "c", "", "")
	f.Add("a", `b","c":"d`, "e", "\x00")
	f.Fuzz(func(t *testing.T, k, v, k2, v2 string) {
		for _, s := range []string{k, v, k2, v2} {
			if !valid(s) {
				t.Skip("JSON has no such text")
			}
		}
		for _, m := range []map[string]string{{k: v}, {k: v, k2: v2}} {
			var got map[string]string
			if err := record.Unpack(record.Pack(m), &got); err != nil || !maps.Equal(got, m) {
				t.Errorf("Unpack(Pack(%q)): got %q, %v", m, got, err)
			}
		}
	})
}

func valid(s string) bool {
	for _, r := range s {
		if r == '\uFFFD' {
			return false
		}
	}
	return true
}

// Times come back to the nanosecond; one that is too late for a number is the last one.
func TestNanos(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ give, want time.Time }{
		{time.Time{}, time.Time{}}, {now, now}, {time.Unix(0, 1), time.Unix(0, 1)},
		{time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, math.MaxInt64)},
	} {
		if got := record.Time(record.Nanos(c.give)); !got.Equal(c.want) {
			t.Errorf("%v: got %v, want %v", c.give, got, c.want)
		}
	}
}
