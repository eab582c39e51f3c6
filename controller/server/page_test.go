package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// books is an engine with so many instances, every tenth of them leased, and its store. It makes
// none.
func books(t testing.TB, instances int) (*pool.Pool, *sqlite.Store) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	p, err := pool.New(pool.Options{
		Store: st, NewID: uuid.NewString, Log: slog.New(slog.DiscardHandler),
		Sources: []pool.Source{{Name: "web", Type: "fake", Digest: "d"}},
		Open: func(context.Context, string, string, []byte) (compute.Provider, error) {
			return nil, compute.ErrUnavailable
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	rec := &store.SourceRecord{Name: "web", Digest: "d", Type: "fake"}
	few := &store.SourceRecord{Name: "few", Digest: "d", Type: "fake"}
	for from := 0; from < instances; from += 5000 {
		err := st.Update(t.Context(), func(tx store.Tx) error {
			if from == 0 {
				for _, r := range []*store.SourceRecord{rec, few} {
					if err := tx.SaveSource(r); err != nil {
						return err
					}
				}
			}
			for n := from; n < min(from+5000, instances); n++ {
				of, state := rec, compute.Ready
				if n%1000 == 999 {
					of = few
				}
				if n%10 == 0 {
					state = compute.Leased
				}
				if err := record(tx, of, n, state); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return p, st
}

// record makes an instance, and its lease where it is leased.
func record(tx store.Tx, of *store.SourceRecord, n int, state compute.State) error {
	at := time.Unix(1_900_000_000, int64(n))
	i := &compute.Instance{ID: compute.ID(fmt.Sprintf("%s-%d", of.Name, n)), Source: of.Name, SourceKey: of.Key,
		State: state, Since: at, Created: at, Generation: 1,
		Address: "192.0.2.7", ProviderID: fmt.Sprint("p-", n), Facts: map[string]string{"cores": "4", "os": "linux"}}
	if err := tx.SaveInstance(i); err != nil || state != compute.Leased {
		return err
	}
	return tx.InsertLease(&compute.Lease{
		ID: fmt.Sprint("lease-", n), Instance: i.ID, Source: of.Name, Owner: fmt.Sprint("user-", n%7), Generation: 1,
		Given: at, Used: at,
	})
}

// ask gets a document as root, and its status.
func ask(t testing.TB, url string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer root")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: err = %v\ntext = %.300s; want no error", url, err, text)
	}
	return answer.StatusCode
}

type listed struct {
	Instances []map[string]any
	Leases    []map[string]any
	Events    []map[string]any
	Next      string
}

// TestPages: while a list changes, what is there all the time comes once, and the last of a page
// may go.
func TestPages(t *testing.T) {
	p, st := books(t, 60)
	url := serve(t, p)
	for _, list := range []string{"instances", "leases"} {
		var got []string
		after, name := "", map[string]string{"instances": "name", "leases": "id"}[list]
		for pages := 0; ; pages++ {
			var l listed
			if s := ask(t, fmt.Sprintf("%s/v1/%s?limit=2&fields=%s&after=%s", url, list, name, after), &l); s != 200 || pages > 40 {
				t.Fatalf("s = %v, pages = %v; want s == 200 and pages <= 40", s, pages)
			}
			for _, v := range append(l.Instances, l.Leases...) {
				if len(v) != 1 {
					t.Errorf("more than was asked for: %v", v)
				}
				got = append(got, v[name].(string))
			}
			if after = l.Next; after == "" {
				break
			}
			last := got[len(got)-1]
			// the last goes, and there is a new one
			err := st.Update(t.Context(), func(tx store.Tx) error {
				if list == "leases" {
					l, err := tx.Lease(last)
					if err != nil {
						return err
					}
					l.Ended = time.Now()
					return tx.SaveLease(l)
				}
				i, err := tx.Instance(compute.ID(last))
				if err != nil {
					return err
				}
				return tx.DropInstance(i)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		// of 6 leases, every second page's last has gone with its instance or not
		want := map[string]int{"instances": 60, "leases": 3}[list]
		if list == "leases" {
			want = 6
		}
		unique := slices.Compact(slices.Sorted(slices.Values(got)))
		if len(got) != want || len(unique) != want {
			t.Errorf("%s: %d, of them %d different ones, want %d", list, len(got), len(unique), want)
		}
	}
}

// TestLargePages: a page ends where it has many bytes, and a caller that reads too many at once is
// refused.
func TestLargePages(t *testing.T) {
	p, st := books(t, 1000)
	err := st.Update(t.Context(), func(tx store.Tx) error {
		all, err := tx.Leases(inventory.LeaseQuery{})
		for _, l := range all {
			l.Labels = map[string]string{"large": strings.Repeat("x", 30<<10)}
			err = errors.Join(err, tx.SaveLease(l))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, p)
	seen, after := 0, ""
	for pages := 1; pages == 1 || after != ""; pages++ {
		var l listed
		ask(t, url+"/v1/leases?limit=100000&after="+after, &l)
		if len(l.Leases) == 0 || len(l.Leases) > 40 {
			t.Fatalf("got a page of %d leases of 30 KiB, want about 1 MiB", len(l.Leases))
		}
		seen, after = seen+len(l.Leases), l.Next
	}
	if seen != 100 {
		t.Errorf("got %d leases in all pages, want 100", seen)
	}
	opt := server.Options{}
	opt.Callers.Limits = auth.NewLimits(auth.LimitOptions{Bytes: 1 << 20})
	opt.Engine = func() server.Engine { return whole(p) }
	opt.Callers.Authenticate, opt.Identity = authenticate, func() api.Identity { return api.Identity{} }
	srv := httptest.NewServer(server.New(opt))
	t.Cleanup(srv.Close)
	var refused map[string]any
	if got := ask(t, srv.URL+"/v1/leases", &refused); got != http.StatusTooManyRequests {
		t.Errorf("more bytes than a caller may read: got status %d, want %d", got, http.StatusTooManyRequests)
	}
	if got := ask(t, srv.URL+"/v1/leases?limit=10", &refused); got != http.StatusOK {
		t.Errorf("few bytes: got status %d, want %d", got, http.StatusOK)
	}
}

// TestFields: of each only what is wanted; what is not known, and a page that is none, are errors
// that say so.
func TestFields(t *testing.T) {
	p, _ := books(t, 20)
	url := serve(t, p)
	var l listed
	ask(t, url+"/v1/instances?limit=1&fields=name,state,lease.id,lease.owner", &l)
	if got := fmt.Sprint(l.Instances); got != "[map[lease:map[id:lease-0 owner:user-0] name:web-0 state:leased]]" {
		t.Errorf("instances: %s", got)
	}
	ask(t, url+"/v1/instances?limit=1&fields=lease.id,lease", &l)
	var all listed
	ask(t, url+"/v1/instances?limit=1", &all)
	if got, want := fmt.Sprint(l.Instances[0]["lease"]), fmt.Sprint(all.Instances[0]["lease"]); got != want {
		t.Errorf("a whole lease: %s, want %s", got, want)
	}
	l = listed{}
	ask(t, url+"/v1/instances?owner=user-3&fields=name", &l)
	if got := fmt.Sprint(l.Instances); got != "[map[name:web-10]]" {
		t.Errorf("of an owner: %s", got)
	}
	for query, says := range map[string]string{
		"instances?fields=nme": "nme", "instances?fields=name.x": "x", "leases?fields=id,lease.id": "lease.id",
		"events?fields=ID": "ID", "sources?fields=a": `"a"`,
		"instances?after=web-3": "web-3", "leases?after=-1": "-1", "instances?limit=0": "limit", "instances?state=odd": "state",
	} {
		var p struct{ Code, Detail, Hint string }
		if s := ask(t, url+"/v1/"+query, &p); s/100 != 4 || p.Code != "invalid" || !strings.Contains(p.Detail, says) || p.Hint == "" {
			t.Errorf(
				"%s: s = %d p = %+v"+
					`; want s/100 == 4 and p.Code == "invalid" and p.Detail with says and p.Hint != ""`,
				query, s, p,
			)
		}
	}
}

// TestClientQueries: the client's questions are the engine's.
func TestClientQueries(t *testing.T) {
	p, _ := books(t, 30)
	c := connect(t, serve(t, p), "root")
	both := []compute.State{compute.Leased, compute.Ready}
	for _, q := range []inventory.InstanceQuery{
		{}, {States: both}, {States: both[:1]}, {Source: "web", Limit: 7}, {Owner: "user-3"}, {After: 12, Limit: 3},
	} {
		got, err := c.Instances(t.Context(), q)
		want, err2 := p.Instances(t.Context(), q)
		if err != nil || err2 != nil || len(got) != len(want) ||
			len(got) > 0 && (got[0].ID != want[0].ID || got[len(got)-1].ID != want[len(want)-1].ID) {
			t.Errorf("%+v: %d and %d, %v, %v", q, len(got), len(want), err, err2)
		}
	}
	for _, q := range []inventory.LeaseQuery{{}, {Source: "web"}, {Source: "few"}, {Owner: "user-3"}, {Limit: 2}, {After: 1}} {
		got, err := c.Leases(t.Context(), q)
		want, err2 := p.Leases(t.Context(), q)
		if err != nil || err2 != nil || len(got) != len(want) || len(got) > 0 && got[0].ID != want[0].ID {
			t.Errorf("%+v: %d and %d, %v, %v", q, len(got), len(want), err, err2)
		}
	}
	if _, err := c.Fill(t.Context(), "web", "nothing"); !strings.Contains(fmt.Sprint(err), "nothing") {
		t.Errorf("Fill of two sources hears %v", err)
	}
}

// BenchmarkPage is what a page of a list costs through HTTP, at 100,000 instances with 10,000
// leases: p50 in milliseconds.
func BenchmarkPage(b *testing.B) {
	p, _ := books(b, 100_000)
	url := serve(b, p)
	for _, query := range []string{"instances", "instances?after=50000", "instances?state=leased",
		"instances?source=few", "instances?owner=user-3", "instances?after=90000&fields=name,state",
		"leases", "leases?after=5000", "leases?owner=user-3"} {
		b.Run(query, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				var l json.RawMessage
				if s := ask(b, url+"/v1/"+query, &l); s != 200 {
					b.Fatal(s)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		})
	}
}
