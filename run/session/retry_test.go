package session

import (
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// TestAgain: a request that takes another instance in the place of one that has ended waits no
// longer than its user said, also when that time is over by then.
func TestAgain(t *testing.T) {
	for wait, most := range map[time.Duration]time.Duration{
		time.Minute: time.Millisecond, time.Hour: time.Hour - time.Minute, 0: 0, -1: -1,
	} {
		s := Session{Requested: &compute.Request{Wait: wait}, RequestedAt: time.Now().Add(-time.Minute)}
		if got := s.retryRequest().Wait; got > most || (got > 0) != (wait > 0) || (got < 0) != (wait < 0) {
			t.Errorf("of %v there are %v left, want at most %v", wait, got, most)
		}
	}
}
