package master_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// TestForwardsInNoCircle: of masters that list each other for a release none passes on what has
// come by it, so the user hears why at once. A request in which nothing goes round is passed on by
// as many as there are.
func TestForwardsInNoCircle(t *testing.T) {
	const n = 3
	var handlers [n]http.Handler
	var asked [n]atomic.Int64
	var urls [n]string
	for i := range n {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "requestComputerPartition") {
				asked[i].Add(1)
			}
			handlers[i].ServeHTTP(w, r)
		}))
		t.Cleanup(srv.Close)
		urls[i] = srv.URL
	}
	const chained = "https://software.example/chained/software.cfg"
	var rigs [n]*rig
	for i := range n {
		next := master.External{URL: urls[(i+1)%n], Releases: []string{forwarded, chained}}
		if i == n-1 {
			next.Releases = next.Releases[:1]
		}
		rigs[i] = newRig(t, master.Options{Computer: "C", Masters: []master.External{next}})
		rigs[i].format("C", 1)
		handlers[i] = web.New(rigs[i].Master, wire.Options{})
	}
	if _, err := rigs[0].Requests.Request(
		t.Context(), access.Anybody, &proto.Request{Title: "round", Release: forwarded},
	); !errors.Is(err, compute.ErrNotFound) ||
		!strings.Contains(err.Error(), "came back") {
		t.Errorf("round: %v", err)
	}
	for i := range asked {
		if times := asked[i].Swap(0); times != 1 {
			t.Errorf("master %d is asked %d times", i, times)
		}
	}
	a, err := rigs[0].Requests.Request(t.Context(), access.Anybody, &proto.Request{Title: "far", Release: chained})
	if err != nil || a.Object == nil {
		t.Fatalf("a = %+v, err = %v; want no error and a.Object != nil", a, err)
	}
	if asked[1].Load() != 1 || asked[2].Load() != 1 || asked[0].Load() != 0 {
		t.Errorf("the chain is asked %d, %d, %d times", asked[0].Load(), asked[1].Load(), asked[2].Load())
	}
	// By the JSON API it is the same.
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(
		t.Context(), http.MethodPost, "/slapos.post.v0.software_instance",
		strings.NewReader(`{"title": "json", "software_release_uri": "`+forwarded+`", "software_type": "default"}`),
	)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(client.PassedHeader, "x,"+rigs[0].RunID())
	if handlers[0].ServeHTTP(w, r); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "came back") {
		t.Errorf(
			"w.Code = %d w.Body = %s"+
				`; want w.Code == http.StatusForbidden and w.Body.String() with "came back"`,
			w.Code, w.Body,
		)
	}
}
