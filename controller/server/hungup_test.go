package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/auth"
)

// TestHungUp: of a request that nobody waits for any more the audit log says that, and of no error.
func TestHungUp(t *testing.T) {
	w := newTown(t, nil)
	w.take("bea", "a", "full")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/v1/leases", strings.NewReader(`{"source": "full", "project": "a"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.tokens["ann"])
	done := make(chan struct{})
	go func() {
		defer close(done)
		if answer, err := http.DefaultClient.Do(r); err == nil {
			_ = answer.Body.Close()
			t.Errorf("it is answered: %s", answer.Status)
		}
	}()
	until(t, func() bool {
		all, err := w.engine.Queue(t.Context())
		return err == nil && len(all) == 1
	})
	cancel()
	<-done
	var got []auth.AuditEntry
	until(t, func() bool {
		got, err = w.audit.List(t.Context(), auth.AuditQuery{Who: "ann", Act: "acquire", Limit: 10})
		return err == nil && len(got) > 0
	})
	if len(got) != 1 || got[0].Outcome != "failed" || got[0].Detail != "whoever asked has hung up" || got[0].Project != "a" {
		t.Errorf(
			"got = %+v"+
				`; want len(got) == 1 and got[0].Outcome == "failed" and got[0].Detail == "whoever asked `+
				`has hung up" and got[0].Project == "a"`,
			got,
		)
	}
}

// until waits for something to be so.
func until(t *testing.T, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it does not come about")
		}
	}
}
