package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// TestLongWait: who waits for longer than a body may take to come, 5 s, is served when his turn has
// come.
func TestLongWait(t *testing.T) {
	url := remembering(t, engine(t), nil)
	c := connect(t, url, "ann")
	ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: maximum})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, key := range []string{"", "with-a-key"} {
		all.Go(func() {
			r, err := http.NewRequestWithContext(
				t.Context(), http.MethodPost, url+"/v1/leases", strings.NewReader(`{"source": "web", "wait": 60}`),
			)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer ann")
			r.Header.Set("Content-Type", "application/json")
			if key != "" {
				r.Header.Set("Idempotency-Key", key)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusCreated {
				t.Errorf("key %q: %s", key, answer.Status)
			}
		})
	}
	eventually(t, "both wait", func() bool { return waitingFor(t, c) == 2 })
	time.Sleep(6 * time.Second) // longer than the time-out that they would run into
	for _, l := range ls[:2] {
		if err := c.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, l.Instance); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}
