package backoff_test

import (
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/backoff"
)

func TestAfter(t *testing.T) {
	for _, c := range []struct {
		e        backoff.Exponential
		failures int
		want     time.Duration
	}{
		{backoff.Exponential{First: 10 * time.Second, Most: 10 * time.Minute}, 0, 0},
		{backoff.Exponential{First: 10 * time.Second, Most: 10 * time.Minute}, -3, 0},
		{backoff.Exponential{First: 10 * time.Second, Most: 10 * time.Minute}, 1, 10 * time.Second},
		{backoff.Exponential{First: 10 * time.Second, Most: 10 * time.Minute}, 6, 320 * time.Second},
		{backoff.Exponential{First: 10 * time.Second, Most: 10 * time.Minute}, 7, 10 * time.Minute},
		{backoff.Exponential{First: 10 * time.Second, Most: 10 * time.Minute}, 1 << 40, 10 * time.Minute},
		{backoff.Exponential{First: time.Hour, Most: time.Minute}, 1, time.Minute},
		{backoff.Exponential{First: time.Second, Most: time.Minute, Factor: 1.5}, 3, 2250 * time.Millisecond},
	} {
		if got := c.e.After(c.failures); got != c.want {
			t.Errorf("%+v: %v after %d failures, want %v", c.e, got, c.failures, c.want)
		}
	}
}

func TestJitter(t *testing.T) {
	for range 1000 {
		if d := backoff.Jitter(4 * time.Second); d < 3*time.Second || d > 5*time.Second {
			t.Fatalf("4s with jitter: %v, want 3s to 5s", d)
		}
	}
}
