package view_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
)

// described is where software is that says what parameters it wants, and how often it was asked.
func described(t *testing.T) (at string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	files := map[string]string{
		"/demo/software.cfg.json": `{"name": "Demo", "serialisation": "json-in-xml", "software-type": {"default": {"title": "Default", "request": "input.json"}, "bare": {"title": "Bare"}, "odd": {"request": "none.json"}}}`,
		"/demo/input.json":        `{"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "port": {"type": "integer", "minimum": 1024}}}`,
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

// TestSoftware: what software says of itself is told, parameters are checked by it, and nobody
// sends the controller to addresses of his own.
func TestSoftware(t *testing.T) {
	d, ctx := newDesk(t), t.Context()
	at, asked := described(t)
	release := at + "/demo/software.cfg"
	d.format("COMP-1", 3)
	root, ann, soft, one := d.as("root"), d.as("ann"), ok[api.SlapSoftware](t), ok[api.SlapInstanceDetail](t)
	if s := soft(ann.SlapOS().Software(ctx, release)); asked.Load() != 0 || len(s.Types) != 0 || !strings.Contains(s.Unknown, "supplied") {
		t.Errorf("before it is supplied: %+v, asked %d times", s, asked.Load())
	}
	// nobody knows better
	n := one(ann.SlapOS().Request(ctx, api.SlapRequest{Title: "early", Release: release, Parameters: map[string]any{"port": 1}}))
	if asked.Load() != 0 || n.Parameters["port"] != 1.0 {
		t.Errorf("%+v, asked %d times", n, asked.Load())
	}
	if err := root.SlapOS().Supply(ctx, "COMP-1", api.SlapSupply{Release: release}); err != nil {
		t.Fatal(err)
	}
	s := soft(ann.SlapOS().Software(ctx, release))
	types := map[string]api.SlapType{}
	for _, one := range s.Types {
		types[one.Type] = one
	}
	if s.Name != "Demo" || len(types) != 3 || types["default"].Schema["required"] == nil ||
		types["bare"].Schema != nil || types["bare"].Problem != "" || types["odd"].Problem == "" {
		t.Errorf("s = %+v", s)
	}
	_, err := ann.SlapOS().Request(ctx, api.SlapRequest{Title: "shop", Release: release, Parameters: map[string]any{"name": "x", "port": 80}})
	if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "/port: ") {
		t.Errorf(`err = %v; want error compute.ErrInvalid and err.Error() with "/port: "`, err)
	}
	if page := ok[api.SlapInstancePage](t)(ann.SlapOS().Instances(ctx, api.SlapQuery{Match: "shop"}, api.SlapPage{})); len(page.Instances) != 0 {
		t.Errorf("refused, and made: %+v", page)
	}
	n = one(ann.SlapOS().Request(ctx, api.SlapRequest{Title: "shop", Release: release, Parameters: map[string]any{"name": "x", "port": 8080}}))
	if n.Parameters["port"] != 8080.0 {
		t.Errorf(`n = %+v; want n.Parameters["port"] == 8080.0`, n)
	}
	sent, err := d.m.Instances.Find(ctx, access.Anybody, n.Instance)
	if err != nil || sent.Parameters["_"] != `{"name": "x", "port": 8080}` {
		t.Errorf(
			"sent = %+v, err = %v"+
				"; want no error and sent.Parameters[\"_\"] == `{\"name\": \"x\", \"port\": 8080}`",
			sent, err,
		)
	}
	if _, err := ann.SlapOS().Change(ctx, n.Instance, api.SlapChange{Parameters: &map[string]any{}}); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "name") {
		t.Errorf(`err = %v; want error compute.ErrInvalid and err.Error() with "name"`, err)
	}
	if n := one(ann.SlapOS().Change(
		ctx, n.Instance, api.SlapChange{Parameters: &map[string]any{"port": 80}, Unchecked: true},
	)); n.Parameters["port"] != 80.0 {
		t.Errorf(`n = %+v; want n.Parameters["port"] == 80.0`, n)
	}
	for _, release := range []string{"", "/etc/software.cfg", "file:///etc/software.cfg", "ftp://h/software.cfg", "http:software.cfg"} {
		if s := soft(root.SlapOS().Software(ctx, release)); !strings.Contains(s.Unknown, "at http and https alone") {
			t.Errorf(`%q: s = %+v; want s.Unknown with "at http and https alone"`, release, s)
		}
	}
	if s := soft(root.SlapOS().Software(ctx, at+"/other/software.cfg")); s.Unknown != "it says nothing of itself" {
		t.Errorf(`s = %+v; want s.Unknown == "it says nothing of itself"`, s)
	}
}
