//go:build linux

package container_test

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/registry"
	"github.com/hostler-project/hostler/provider/container"
)

// TestEndlessEngine: what an engine says without an end is not kept in memory, and ends the
// request.
func TestEndlessEngine(t *testing.T) {
	for _, path := range []string{"/containers/json", "/images/create"} {
		socket := filepath.Join(t.TempDir(), "engine.sock")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.43")
			w.Header().Set("Ostype", "linux")
			switch {
			case strings.HasSuffix(r.URL.Path, "/_ping"):
			case strings.HasSuffix(r.URL.Path, path):
				_, _ = io.WriteString(w, map[bool]string{true: `[{"Id": "`, false: `{"status": "`}[path == "/containers/json"])
				for piece := []byte(strings.Repeat("x", 1<<20)); ; {
					if _, err := w.Write(piece); err != nil {
						return
					}
				}
			case strings.Contains(r.URL.Path, "/images/"), strings.Contains(r.URL.Path, "/containers/"):
				w.WriteHeader(http.StatusNotFound)
			default:
				_, _ = io.WriteString(w, "{}")
			}
		})}
		go func() { _ = srv.Serve(l) }()
		p, err := container.Open(
			t.Context(), nil,
			container.Options{
				Source: "suite", Installation: "mine", Image: "x", Pull: "always", Socket: socket, Registry: registry.Client{},
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		if path == "/containers/json" {
			_, err = p.List(t.Context())
		} else {
			_, err = p.Create(t.Context(), compute.Spec{ID: "one"})
		}
		if err == nil || !strings.Contains(err.Error(), "more than it may") {
			t.Errorf(`%s: err = %v; want an error and err.Error() with "more than it may"`, path, err)
		}
		_ = srv.Close()
	}
}
