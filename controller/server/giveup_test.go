package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// giveUp gives up somebody's request.
func giveUp(t *testing.T, url, who, key string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url+"/v1/requests/"+key, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+who)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Fatalf("give up %s: %s", key, answer.Status)
	}
}

// TestGiveUp: a request that is given up keeps nothing, whether it was answered, is being served or
// comes later. Nothing else of its owner's ends.
func TestGiveUp(t *testing.T) {
	e := engine(t)
	url := remembering(t, e, nil)
	const body = `{"source": "web"}`
	kept := mustPost(t, 201, url+"/v1/leases", "ann", "kept", body)
	mustPost(t, 200, url+"/v1/leases/"+kept.lease.ID+"/extend", "ann", "longer", `{}`)
	mustPost(t, 201, url+"/v1/leases", "ann", "k", `{"source": "web", "count": 2}`)
	only := func() bool {
		all := leasesOf(t, e)
		return len(all) == 1 && all[0].ID == kept.lease.ID
	}
	giveUp(t, url, "bob", "k")
	if n := len(leasesOf(t, e)); n != 3 {
		t.Errorf("another's key left %d leases", n)
	}
	giveUp(t, url, "ann", "k")
	if !only() {
		t.Errorf("there are %+v", leasesOf(t, e))
	}
	mustPost(t, 409, url+"/v1/leases", "ann", "k", `{"source": "web", "count": 2}`)
	giveUp(t, url, "ann", "k")
	giveUp(t, url, "ann", "longer") // which made nothing
	giveUp(t, url, "ann", "later")
	mustPost(t, 409, url+"/v1/leases", "ann", "later", body)

	waits := make(chan told)
	go func() {
		out, err := post(t.Context(), url+"/v1/leases", "ann", "waits", `{"source": "web", "count": 4, "wait": 600}`)
		if err != nil {
			t.Error(err)
		}
		waits <- out
	}()
	eventually(t, "it waits", func() bool {
		all, err := e.Queue(t.Context())
		return err == nil && len(all) == 1
	})
	giveUp(t, url, "ann", "waits")
	if out := <-waits; out.status/100 == 2 {
		t.Errorf("it is answered: %s", out.text)
	}
	eventually(t, "nobody waits", func() bool {
		all, err := e.Queue(t.Context())
		return err == nil && len(all) == 0
	})
	if !only() {
		t.Errorf("at the end there are %+v", leasesOf(t, e))
	}
}

// TestAnswerMissed: whoever ends a request while its answer is on the way keeps nothing. To the
// controller it has been answered.
func TestAnswerMissed(t *testing.T) {
	for _, accept := range []string{"document", "stream"} {
		t.Run(accept, func(t *testing.T) {
			e := engine(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			url := remembering(t, e, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodPost || r.URL.Path != "/v1/leases" {
						next.ServeHTTP(w, r)
						return
					}
					rec := httptest.NewRecorder()
					next.ServeHTTP(rec, r.WithContext(context.WithoutCancel(r.Context())))
					if rec.Code/100 != 2 || len(leasesOf(t, e)) != 1 {
						t.Errorf(
							"rec.Code = %d rec.Body = %s"+
								"; want rec.Code/100 == 2 and len(leasesOf(t, e)) == 1",
							rec.Code, rec.Body,
						)
					}
					if accept == "stream" { // its head comes, and no end
						w.Header().Set("Content-Type", api.EventStream)
						_ = http.NewResponseController(w).Flush()
					}
					cancel()
					<-r.Context().Done()
				})
			})
			req := compute.Request{Source: "web", Count: 1}
			if accept == "stream" {
				req.Notify = func(compute.Progress) {}
			}
			leases, err := connect(t, url, "ann").Acquire(ctx, req)
			if !errors.Is(err, context.Canceled) || len(leases) > 0 {
				t.Errorf("leases = %v, err = %v; want error context.Canceled and len(leases) <= 0", leases, err)
			}
			if all := leasesOf(t, e); len(all) > 0 {
				t.Errorf("it has left %+v", all)
			}
		})
	}
}
