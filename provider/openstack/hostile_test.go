package openstack_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// TestSentOn: a service that sends requests on gets neither the password nor a token to anybody
// else.
func TestSentOn(t *testing.T) {
	for _, path := range []string{"/auth/tokens", "/servers"} {
		var mu sync.Mutex
		var heard []string
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Auth-Token")+string(body))
			w.WriteHeader(http.StatusInternalServerError)
		}))
		s := newSim(t)
		s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, path) {
				return false
			}
			http.Redirect(w, r, other.URL+"/elsewhere", http.StatusTemporaryRedirect)
			return true
		}
		_, err := simProvider(t, s, openstack.SessionOptions{}).Create(t.Context(), compute.Spec{ID: "web-1"})
		if err == nil || !strings.Contains(err.Error(), "sends the request on") {
			t.Errorf(`%s: err = %v; want an error and err.Error() with "sends the request on"`, path, err)
		}
		other.Close()
		if len(heard) > 0 {
			t.Errorf("%s: another host heard %q", path, heard)
		}
	}
}

// TestEndlessAnswer: an answer without an end is not read to its end.
func TestEndlessAnswer(t *testing.T) {
	s := newSim(t)
	s.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/flavors/detail") {
			return false
		}
		_, _ = io.WriteString(w, `{"flavors": [`)
		for piece := []byte(strings.Repeat(" ", 1<<20)); ; {
			if _, err := w.Write(piece); err != nil {
				return true
			}
		}
	}
	_, err := simProvider(t, s, openstack.SessionOptions{}).Create(t.Context(), compute.Spec{ID: "web-1"})
	if err == nil || !strings.Contains(err.Error(), "256 MiB") {
		t.Errorf(`err = %v; want an error and err.Error() with "256 MiB"`, err)
	}
}
