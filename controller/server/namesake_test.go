package server_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/hostler-project/hostler/api"
)

// TestNamesakes has a lease's name, which two projects gave, be one's own for who sees both, and
// nothing for whom it could be either.
func TestNamesakes(t *testing.T) {
	w := newTown(t, nil)
	took := map[string]string{}
	// the other's is the older one
	for _, by := range []struct{ who, project string }{{"eve", "b"}, {"two", "a"}} {
		status, text := w.ask(
			http.MethodPost, "/v1/leases", `{"source": "web", "name": "build", "project": "`+by.project+`"}`,
			w.tokens[by.who],
		)
		var l api.Lease
		if err := json.Unmarshal([]byte(text), &l); status != http.StatusCreated || err != nil {
			t.Fatalf(
				"by = %v, status = %v, text = %v, err = %v"+
					"; want status == http.StatusCreated and no error",
				by, status, text, err,
			)
		}
		took[by.who] = l.ID
	}
	for _, path := range []string{"/v1/leases/build", "/v1/instances/build"} {
		for who, want := range map[string]string{"two": took["two"], "eve": took["eve"], "opa": took["two"], "root": ""} {
			status, text := w.ask(http.MethodGet, path, "", w.tokens[who])
			var l api.Lease
			var i struct{ Lease api.Lease }
			_, _ = json.Unmarshal([]byte(text), &l), json.Unmarshal([]byte(text), &i)
			id := l.ID
			if path == "/v1/instances/build" {
				id = i.Lease.ID
			}
			switch {
			case want == "" && status != http.StatusConflict, want != "" && (status != http.StatusOK || id != want):
				t.Errorf("%s by %s: %d %s", path, who, status, text)
			}
		}
	}
}
