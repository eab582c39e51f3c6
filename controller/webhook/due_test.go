package webhook

import (
	"testing"
	"time"
)

// TestDue: a time to try again that lies far ahead, as the clock was set back meanwhile, keeps a
// receiver waiting for an hour and not for days.
func TestDue(t *testing.T) {
	now := time.Date(2031, 5, 14, 12, 0, 0, 0, time.UTC)
	for ahead, want := range map[time.Duration]time.Duration{
		-time.Hour: -time.Hour, time.Minute: time.Minute, time.Hour: time.Hour, 48 * time.Hour: time.Hour,
	} {
		if got := (Position{Retry: now.Add(ahead)}).due(now).Sub(now); got != want {
			t.Errorf("%v ahead: tried in %v, want %v", ahead, got, want)
		}
	}
	if got := (Position{}).due(now); !got.IsZero() {
		t.Errorf("none was said: %v", got)
	}
}
