package recording_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/pooltest"
	"github.com/hostler-project/hostler/pool/recording"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

// record has an engine decide some requests, and returns what was written down.
func record(t *testing.T, requests ...compute.Request) []byte {
	t.Helper()
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	var out bytes.Buffer
	r := recording.NewRecorder(&out, "1.2.3")
	p, err := pool.New(pool.Options{
		Store: st, NewID: uuid.NewString,
		Record: func(v *allocate.View, req allocate.Request) (*allocate.View, func(allocate.Result, error)) {
			req.UserData = requests[0].UserData // no fake takes any
			return r.Record(v, req)
		},
		Sources: []pool.Source{
			{Name: "web", Type: "fake", Digest: "d", Reserve: 3, Maximum: 3, Idle: 1e12, Definition: []byte("DEFINITION")},
			{Name: "gone", Type: "fake", Digest: "d", Err: errors.New("it is broken")},
			{Name: "all", Type: "pool", Digest: "d", Children: []string{"web"}},
		},
		Projects: func(string) pool.Project { return pool.Project{Quota: compute.Capacity{Count: 8}} },
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			return fake.Open(ctx, slog.New(slog.DiscardHandler), fake.Options{
				Source: name, Installation: st.Installation(), Cloud: fake.NewCloud(),
			})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Fill(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	for _, req := range requests {
		req.Owner, req.UserData = "ann", nil
		_, err := p.Acquire(t.Context(), req)
		if err != nil && !errors.Is(err, compute.ErrNoCapacity) {
			t.Fatalf("acquire %d of %s: err = %v; want none, or no capacity", req.Count, req.Source, err)
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestSame: each recorded decision is decided again as it was, by the recording alone.
func TestSame(t *testing.T) {
	text := record(t,
		compute.Request{Source: "web", Count: 1},
		compute.Request{Source: "all", Count: 1, Project: "red"},
		compute.Request{Source: "web", Count: 1, Memory: 1 << 50},
		compute.Request{Source: "all", Count: 2},
		compute.Request{Source: "web", Count: 1, CachedOnly: true},
	)
	rec, err := recording.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if rec.Program != "1.2.3" || len(rec.Decisions) < 5 {
		t.Fatalf("program %q, %d decisions; want 1.2.3 and 5 or more", rec.Program, len(rec.Decisions))
	}
	given, refused, passed := 0, 0, 0
	for n, d := range rec.Decisions {
		now, unknown, err := d.Replay()
		if err != nil || unknown != "" || !now.Same(d.Was) || now.Reason != d.Was.Reason || len(now.Passed) != len(d.Was.Passed) {
			t.Errorf("decision %d: got %+v, asking %q, %v; want %+v", n+1, now, unknown, err, d.Was)
		}
		given, passed = given+len(now.Grants), passed+len(now.Passed)
		if now.Kind != "" {
			refused++
		}
	}
	if given < 3 || refused == 0 || passed == 0 {
		t.Errorf("%d given, %d refused, %d passed over; want some of each", given, refused, passed)
	}
	if other := rec.Decisions[0].Was; other.Same(rec.Decisions[len(rec.Decisions)-1].Was) {
		t.Error("two decisions that differ count as the same")
	}
}

// TestSimulated: what the simulator's engines decide is decided again as it was, with pools,
// quotas, queues, machines that stay and sources that fail.
func TestSimulated(t *testing.T) {
	pooltest.OneP(t)
	dir, decisions, passed := pooltest.Memory(t), 0, 0
	for seed := uint64(1); seed <= 12; seed++ {
		var out bytes.Buffer
		r := recording.NewRecorder(&out, "")
		_, err := pooltest.Simulate(t, pooltest.Seed(seed), pooltest.Options{
			Dir: dir, Engine: func(o *pool.Options) { o.Record = r.Record },
		})
		if err != nil || r.Err() != nil {
			t.Fatalf("seed %d: %v, %v; want no error", seed, err, r.Err())
		}
		rec, err := recording.Read(&out)
		if err != nil {
			t.Fatalf("seed %d: %v; want no error", seed, err)
		}
		for n, d := range rec.Decisions {
			now, asks, err := d.Replay()
			if err != nil || asks != "" || !now.Same(d.Was) || !slices.Equal(now.Passed, d.Was.Passed) {
				t.Errorf("seed %d, decision %d: got %+v, asking %q, %v; want %+v", seed, n+1, now, asks, err, d.Was)
			}
			passed += len(now.Passed)
		}
		decisions += len(rec.Decisions)
	}
	if decisions < 100 || passed < 100 {
		t.Errorf("%d decisions, %d passed over; want more", decisions, passed)
	}
}

// TestNoSecrets: what nobody else is to read is not written down.
func TestNoSecrets(t *testing.T) {
	text := string(record(t, compute.Request{
		Source: "web", Count: 1, Purpose: "PURPOSE", Labels: map[string]string{"LABEL": "VALUE"}, UserData: []byte("USERDATA"),
	}, compute.Request{Source: "web", Count: 1}))
	for _, secret := range []string{"PURPOSE", "LABEL", "VALUE", "USERDATA", "VVNFUkRBVEE", "DEFINITION", "REVGSU5JVElPTg"} {
		if strings.Contains(text, secret) {
			t.Errorf("the recording has %s", secret)
		}
	}
}

// TestGarbage: what is no recording is refused, in words.
func TestGarbage(t *testing.T) {
	good := string(record(t, compute.Request{Source: "web", Count: 1}))
	lines := strings.SplitAfter(good, "\n")
	for name, c := range map[string]struct{ text, want string }{
		"empty":       {"", "it is empty"},
		"blank":       {"\n", "no recording"},
		"text":        {"hello\n", "no recording"},
		"other JSON":  {`{"a":1}` + "\n", "no recording"},
		"null":        {"null\n", "no recording"},
		"newer":       {`{"recording":{"version":7}}` + "\n", "its format is version 7, and this program knows 1"},
		"cut off":     {strings.Join(lines[:3], ""), "cut off"},
		"damaged":     {lines[0] + lines[1] + `{"read":` + "\n", "line 3 is damaged"},
		"out of line": {lines[0] + lines[2], "line 2 is not what may stand there"},
		"two headers": {lines[0] + lines[0], "line 2 is not what may stand there"},
	} {
		if _, err := recording.Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v; want %q in it", name, err, c.want)
		}
	}
}

// TestOtherwise: a recording that another program would decide otherwise is told from a good one.
func TestOtherwise(t *testing.T) {
	text := string(record(t, compute.Request{Source: "web", Count: 1}))
	const outcome = `"outcome":{"grants":[{"source":"web","instance":`
	for name, c := range map[string]struct {
		from, to     string
		same, asking bool
	}{
		"as it is":           {"", "", true, false},
		"another outcome":    {outcome + `"web-1"`, outcome + `"web-2"`, false, false},
		"nothing to pick":    {`"ask":"Pick"`, `"ask":"Peck"`, false, true},
		"nobody knows a key": {`"ask":"Source"`, `"ask":"Sauce"`, false, true},
	} {
		if !strings.Contains(text, c.from) {
			t.Fatalf("%s: the recording has no %s", name, c.from)
		}
		rec, err := recording.Read(strings.NewReader(strings.Replace(text, c.from, c.to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		now, asks, err := rec.Decisions[0].Replay()
		if same := now.Same(rec.Decisions[0].Was); err != nil || (same && asks == "") != c.same || (asks != "") != c.asking {
			t.Errorf("%s: same %v, asking %q, %v; want same %v, asking %v", name, same, asks, err, c.same, c.asking)
		}
	}
}

// FuzzRead: no recording makes the program fall.
func FuzzRead(f *testing.F) {
	const head = `{"recording":{"version":1}}` + "\n" + `{"decision":{"request":{"Source":"a","Count":1},"sources":[`
	f.Add([]byte(head + `{"Name":"a"}]}}` + "\n" + `{"outcome":{}}` + "\n"))
	f.Add([]byte(head + `null]}}` + "\n" + `{"outcome":{}}` + "\n"))
	f.Add([]byte(head + `{"Name":"a"}]}}` + "\n" +
		`{"read":{"ask":"Source","of":["a",""],"answer":null}}` + "\n" + `{"outcome":{}}` + "\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		rec, err := recording.Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, d := range rec.Decisions {
			_, _, _ = d.Replay()
		}
	})
}
