package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
)

// TestEndlessEvent: an event of a controller's that never ends is not gathered in memory.
func TestEndlessEvent(t *testing.T) {
	sent := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			return
		}
		if sent > 0 { // asked again
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for line := "data: " + strings.Repeat("x", 64<<10) + "\n"; sent < 1<<30; sent += len(line) {
			if _, err := io.WriteString(w, line); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	c, err := client.New(client.Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Notify: func(compute.Progress) {}})
	if err == nil || sent >= 1<<30 {
		t.Errorf("%d bytes of one event were heard; %v", sent, err)
	}
}
