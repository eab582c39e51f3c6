package master_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// heard is a master to which requests are passed on, and what it was asked last.
type heard struct {
	*rig
	url  string
	mu   sync.Mutex
	last *proto.Request
}

func newHeard(t *testing.T) *heard {
	h := &heard{rig: newRig(t, master.Options{Computer: "E"})}
	h.format("E", 4)
	answers := web.New(h.rig.Master, wire.Options{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/requestComputerPartition") {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			q, err := proto.ParseRequest(r.PostForm)
			if err != nil {
				t.Error(err)
			}
			h.mu.Lock()
			h.last = q
			h.mu.Unlock()
			// what was read is there again
			form, passed := strings.NewReader(r.PostForm.Encode()), r.Header.Get(client.PassedHeader)
			r = httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), form)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set(client.PassedHeader, passed)
		}
		answers.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	h.url = srv.URL + "/"
	return h
}

func (h *heard) asked() *proto.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := h.last
	h.last = nil
	return q
}

// TestForwardRules: the rules of section 2.6 that no recording has.
func TestForwardRules(t *testing.T) {
	there := newHeard(t)
	there.ask(proto.Request{Title: "front"}) // in p0: as which another master asks
	asUser, asPartition := forwarded, "https://software.example/partition/software.cfg"
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	here := &rig{openOn(t, st, master.Options{Computer: "C", Masters: []master.External{{URL: there.url, Releases: []string{asUser}}}}), t}
	here.format("C", 3)
	ask := func(m *rig, q proto.Request) *proto.Object {
		t.Helper()
		a, err := m.Requests.Request(t.Context(), access.Anybody, &q)
		if err != nil || a.Object == nil {
			t.Fatalf("a = %+v, err = %v; want no error and a.Object != nil", a, err)
		}
		return a.Object
	}

	// As a user, with who asks in a filter, unless the section says as which partition.
	ask(here, proto.Request{Title: "x", Release: asUser, Filter: proto.Dictionary{"k": "v"}})
	if q := there.asked(); q == nil || q.Title != "user_x" || q.Computer != "" ||
		q.Filter["source_instance_id"] != "user_x" || q.Filter["k"] != "v" {
		t.Errorf("as a user: %+v", q)
	}
	by := newRig(
		t,
		master.Options{
			Computer: "C",
			Masters:  []master.External{{URL: there.url, Releases: []string{asPartition}, Computer: "E", Partition: "p0"}},
		},
	)
	ask(by, proto.Request{Title: "x", Release: asPartition})
	if q := there.asked(); q == nil || q.Title != "user_x" || q.Computer != "E" || q.Partition != "p0" ||
		q.Filter["source_instance_id"] != nil {
		t.Errorf("as a partition: %+v", q)
	}

	// The asking partition's name is in the title; a shared one is told to be there.
	here.ask(proto.Request{Title: "root"})
	o := ask(here, proto.Request{Title: "y", Release: asUser, Shared: true, Computer: "C", Partition: "p0"})
	if q := there.asked(); q == nil || q.Title != "p0_y" || !q.Shared || o.Attributes["_synced"] != true ||
		o.Attributes["_master_url"] != there.url {
		t.Errorf(
			"q = %+v, o.Attributes = %+v"+
				`; want q != nil and q.Title == "p0_y" and q.Shared and o.Attributes["_synced"] == true `+
				`and o.Attributes["_master_url"] == there.url`,
			q, o.Attributes,
		)
	}

	// It is remembered until it is to be destroyed.
	remembered := func() (n int) {
		t.Helper()
		if err := st.View(t.Context(), func(tx store.Tx) error {
			all, err := tx.SlapEntries(store.SlapQuery{Kind: record.KindForward})
			n = len(all)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := remembered(); n != 2 {
		t.Errorf("%d are remembered", n)
	}
	ask(here, proto.Request{Title: "x", Release: asUser, State: proto.Destroyed})
	if q := there.asked(); q == nil || q.State != proto.Destroyed {
		t.Errorf("q = %+v; want q != nil and q.State == proto.Destroyed", q)
	}
	if n := remembered(); n != 1 {
		t.Errorf("%d are remembered", n)
	}

	// What is here already is not passed on, whatever its release becomes, nor by its filter.
	for _, q := range []proto.Request{
		{Title: "root", Release: asUser}, {Title: "root", Filter: proto.Dictionary{"master_url": there.url}},
	} {
		if a := here.ask(q); a.Object != nil || a.Partition != "p0" || there.asked() != nil {
			t.Errorf(`a = %+v; want a.Object == nil and a.Partition == "p0" and there.asked() == nil`, a)
		}
	}
	if _, err := here.Requests.Request(
		t.Context(), access.Anybody,
		&proto.Request{Title: "z", Release: demo, Filter: proto.Dictionary{"master_url": "http://127.0.0.1:1/"}},
	); !errors.Is(err, compute.ErrNotFound) {
		t.Error(err)
	}
}
