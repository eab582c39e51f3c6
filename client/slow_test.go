package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
)

// TestSilentController: a controller that takes a question and never answers, as one that was
// stopped, is told of after two seconds and given up after a minute.
func TestSilentController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int64 // nanoseconds
		start := time.Now()
		c, err := client.New(client.Options{
			Dial: func(context.Context) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					for b := make([]byte, 4096); ; {
						if _, err := theirs.Read(b); err != nil {
							return
						}
					}
				}()
				return ours, nil
			},
			Slow: func(string) { told.Store(int64(time.Since(start))) },
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Self(t.Context())
		if !errors.Is(err, compute.ErrUnavailable) || !strings.Contains(err.Error(), "has not answered within 1m0s") {
			t.Errorf("got %v; want that it has not answered", err)
		}
		if took := time.Since(start); told.Load() != int64(2*time.Second) || took != time.Minute {
			t.Errorf("it was told after %v and given up after %v; want 2s and 1m", time.Duration(told.Load()), took)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
