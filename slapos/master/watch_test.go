package master_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/rpc"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// soon is a context that ends long after what is waited for, and fails the test then.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// A caller that waits for a change of a computer hears of it, by whichever master it was made, and
// not of changes of others.
func TestAwait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var rigs []*rig
	for range 2 {
		st, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		m, err := master.New(t.Context(), master.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		rigs = append(rigs, &rig{m, t})
	}
	ours, others := rigs[0], rigs[1]
	ours.format("A", 2)
	ours.format("B", 2)
	first, err := ours.Computers.Await(soon(t), access.Anybody, "A", 0)
	if err != nil || first == 0 {
		t.Fatalf("first = %v, err = %v; want no error and first != 0", first, err)
	}
	// A change of another computer, and then one of this: only the second is heard, whichever comes
	// first to who waits.
	supply := func(m *rig, computer, url string) {
		t.Helper()
		if err := m.Computers.Supply(t.Context(), access.Anybody, computer, url, proto.Available); err != nil {
			t.Fatal(err)
		}
	}
	type heard struct {
		revision int64
		err      error
	}
	wait := func(m *rig, after int64) chan heard {
		c := make(chan heard, 1)
		ctx := soon(t)
		go func() {
			revision, err := m.Computers.Await(ctx, access.Anybody, "A", after)
			c <- heard{revision, err}
		}()
		return c
	}
	waiting, also := wait(ours, first), wait(ours, first)
	supply(others, "B", "one")
	supply(others, "A", "one")
	for _, c := range []chan heard{waiting, also} {
		if h := <-c; h.err != nil || h.revision < first+2 {
			t.Errorf("%+v after %d", h, first)
		}
	}
	second, err := ours.Computers.Await(soon(t), access.Anybody, "A", first)
	if err != nil || second < first+2 {
		t.Errorf("second = %v, err = %v; want no error and second >= first+2", second, err)
	}
	// Nothing of A changes: the wait ends with its context.
	ctx, cancel := context.WithCancel(t.Context())
	quiet := make(chan heard, 1)
	go func() {
		revision, err := ours.Computers.Await(ctx, access.Anybody, "A", second)
		quiet <- heard{revision, err}
	}()
	supply(ours, "B", "two")
	// so this master has seen it
	if _, err := ours.Computers.Await(soon(t), access.Anybody, "B", second); err != nil {
		t.Error(err)
	}
	select {
	case h := <-quiet:
		t.Errorf("%+v, and nothing of A has changed", h)
	default:
	}
	cancel()
	if h := <-quiet; !errors.Is(h.err, context.Canceled) {
		t.Errorf("h = %+v; want error context.Canceled", h)
	}
	// A revision that the store does not have is of another store.
	if now, err := ours.Computers.Await(soon(t), access.Anybody, "A", 1<<40); err != nil || now >= 1<<40 {
		t.Errorf("now = %v, err = %v; want no error and now < 1<<40", now, err)
	}
	if _, err := ours.Computers.Await(soon(t), access.Anybody, "nobody", 0); !errors.Is(err, compute.ErrNotFound) {
		t.Error(err)
	}
	if _, err := ours.Computers.Await(soon(t), access.Who{Computer: "B"}, "A", 0); !errors.Is(err, compute.ErrDenied) {
		t.Error(err)
	}
}

func TestWatchOverHTTP(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	h := web.New(r.Master, wire.Options{})
	get := func(ctx context.Context, query string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/hostler.watch.v0.compute_node"+query, nil))
		return w.Code, w.Body.String()
	}
	r.format("C", 1)
	status, body := get(soon(t), "?computer_guid=C")
	var answer struct {
		Computer string `json:"computer_guid"`
		Revision int64  `json:"revision"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || answer.Computer != "C" || answer.Revision == 0 {
		t.Fatalf(
			"status = %v, body = %v, err = %v"+
				`; want no error and status == 200 and answer.Computer == "C" and answer.Revision != 0`,
			status, body, err,
		)
	}
	done := make(chan int, 1)
	ctx := soon(t)
	go func() {
		status, _ := get(ctx, "?computer_guid=C&after="+strconv.FormatInt(answer.Revision, 10))
		done <- status
	}()
	r.ask(proto.Request{Title: "a"})
	if status := <-done; status != 200 {
		t.Error(status)
	}
	for query, want := range map[string]int{
		"": 400, "?computer_guid=C&after=x": 400, "?computer_guid=C&after=-1": 400, "?computer_guid=D": 404, "?%zz": 400,
	} {
		if status, body := get(soon(t), query); status != want {
			t.Errorf("%s: status = %d body = %s; want status == want", query, status, body)
		}
	}
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/hostler.watch.v0.compute_node", nil)); w.Code != 405 {
		t.Error(w.Code)
	}
}

// A server that ends does not wait for those that wait.
func TestWatchOfServerThatEnds(t *testing.T) {
	r := newRig(t, master.Options{Computer: "C"})
	r.format("C", 1)
	after, err := r.Computers.Await(soon(t), access.Anybody, "C", 0)
	if err != nil {
		t.Fatal(err)
	}
	ending := make(chan struct{})
	done := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		rpc.New(r.Master, wire.Options{Ending: ending}).ServeHTTP(
			w,
			httptest.NewRequest(http.MethodGet, "/hostler.watch.v0.compute_node?computer_guid=C&after="+strconv.FormatInt(after, 10), nil),
		)
		done <- w.Code
	}()
	close(ending)
	select {
	case status := <-done:
		if status != http.StatusNoContent {
			t.Error(status)
		}
	case <-time.After(50 * time.Second): // below the minute after which it ends without this
		t.Error("it waits")
	}
}

// After a minute without a change there is nothing to say.
func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, master.Options{Computer: "C"})
		r.format("C", 1)
		after, err := r.Computers.Await(t.Context(), access.Anybody, "C", 0)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		w := httptest.NewRecorder()
		rpc.New(r.Master, wire.Options{}).ServeHTTP(
			w,
			httptest.NewRequestWithContext(
				t.Context(), http.MethodGet,
				"/hostler.watch.v0.compute_node?computer_guid=C&after="+strconv.FormatInt(after, 10), nil,
			),
		)
		if took := time.Since(start); w.Code != http.StatusNoContent || took != time.Minute {
			t.Errorf(
				"w.Code = %v, w.Body = %v, took = %v"+
					"; want w.Code == http.StatusNoContent and took == time.Minute",
				w.Code, w.Body, took,
			)
		}
	})
}

// What is asked and said of computers that nobody knows leaves nothing in the store.
func TestNobodysComputer(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ctx := t.Context()
	m, err := master.New(ctx, master.Options{Store: st, Computer: "C"})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{m, t}
	if _, err := r.Computers.Await(ctx, access.Anybody, "nobody's", 0); !errors.Is(err, compute.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := r.Computers.Information(ctx, access.Anybody, "nobody's"); !errors.Is(err, compute.ErrNotFound) {
		t.Error(err)
	}
	const report = "<?xml version='1.0' encoding='utf-8'?><journal><transaction type=\"Sale Packing List\"><title>Resource consumptions</title><start_date>2026-01-01</start_date><stop_date>2026-01-02</stop_date><reference>p0</reference><currency/><payment_mode/><category/><arrow type=\"Administration\"><source/><destination/></arrow></transaction></journal>"
	if err := r.Usage.Keep(ctx, access.Anybody, "nobody's", report); err != nil {
		t.Error(err)
	}
	left := func() (n int) {
		t.Helper()
		err := st.View(ctx, func(tx store.Tx) error {
			n = 0
			for _, kind := range []store.SlapKind{record.KindStatus, record.KindUsage, record.KindNode} {
				some, err := tx.SlapEntries(store.SlapQuery{Kind: kind})
				if err != nil {
					return err
				}
				n += len(some)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := left(); n != 0 {
		t.Errorf("%d records of it", n)
	}
	r.format("C", 1)
	if _, err := r.Computers.Await(ctx, access.Anybody, "C", 0); err != nil {
		t.Error(err)
	}
	if err := r.Usage.Keep(ctx, access.Anybody, "C", report); err != nil {
		t.Error(err)
	}
	if n := left(); n != 2 {
		t.Errorf("%d records of a computer that there is, not that it was seen and what it used", n)
	}
	// A node that did not get the answer sends the report again. Without a time it counts once
	// more.
	timeless := strings.Replace(report, "2026-01-02", "", 1)
	for _, again := range []struct {
		report string
		want   int
	}{{report, 2}, {timeless, 3}, {timeless, 4}, {strings.Replace(report, "2026-01-02", "2026-01-03", 1), 5}, {report, 5}} {
		if err := r.Usage.Keep(ctx, access.Anybody, "C", again.report); err != nil {
			t.Error(err)
		}
		if n := left(); n != again.want {
			t.Errorf("%d records after %s; want %d", n, again.report, again.want)
		}
	}
}
