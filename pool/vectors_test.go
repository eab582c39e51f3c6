package pool_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/pool/pooltest"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

// vector is a sequence of operations on a set of sources, with the state after each.
type vector struct {
	Sources []struct {
		Name, Type       string
		Reserve, Maximum int
		Sources          []string
	} `json:"sources"`
	Steps []json.RawMessage `json:"steps"`
}

// rig is an engine over fakes on a real store.
type rig struct {
	*pool.Pool
	store  *sqlite.Store
	clouds map[string]*fake.Cloud
	fakes  map[string]*fake.Provider
	fail   func(source, op string, id compute.ID) error // of the fakes
}

// newRig opens an engine; more than one may share a directory and clouds.
func newRig(t testing.TB, dir string, clouds map[string]*fake.Cloud, sources []pool.Source, change func(*pool.Options)) *rig {
	t.Helper()
	return rigOf(pooltest.New(t, sources, pooltest.RigOptions{Dir: dir, Clouds: clouds, Change: change}))
}

func newRigOn(t testing.TB, st *sqlite.Store, clouds map[string]*fake.Cloud, sources []pool.Source, change func(*pool.Options)) *rig {
	t.Helper()
	return rigOf(pooltest.New(t, sources, pooltest.RigOptions{Store: st, Clouds: clouds, Change: change}))
}

func rigOf(of *pooltest.Rig) *rig {
	r := &rig{Pool: of.Pool, store: of.Store, clouds: of.Clouds, fakes: of.Fakes}
	of.Fail = func(source, op string, id compute.ID) error {
		if r.fail == nil {
			return nil
		}
		return r.fail(source, op, id)
	}
	return r
}

// TestVectors replays the sequences that the old tool and the specification agree on, and those in
// which the specification corrects it.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string][]vector
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"agreed", "corrected"} {
		if len(file[group]) < 10 {
			t.Fatalf("only %d sequences in %s", len(file[group]), group)
		}
		for n, v := range file[group] {
			t.Run(fmt.Sprintf("%s/%d", group, n), func(t *testing.T) { replay(t, v) })
		}
	}
}

func replay(t *testing.T, v vector) {
	ctx := t.Context()
	var sources []pool.Source
	for _, s := range v.Sources {
		sources = append(
			sources,
			pool.Source{Name: s.Name, Type: s.Type, Digest: "d", Reserve: s.Reserve, Maximum: s.Maximum, Children: s.Sources},
		)
	}
	r := newRig(t, t.TempDir(), map[string]*fake.Cloud{}, sources, nil)
	held := map[string][]compute.ID{} // by "source/child", in the order in which they were given
	for n, raw := range v.Steps {
		var step []json.RawMessage
		var op, source string
		var after struct {
			Result json.RawMessage
			State  map[string][]int
		}
		must(t, json.Unmarshal(raw, &step))
		must(t, json.Unmarshal(step[0], &op))
		must(t, json.Unmarshal(step[1], &source))
		must(t, json.Unmarshal(step[len(step)-1], &after))
		what := fmt.Sprintf("step %d: %s", n, raw)
		switch op {
		case "acquire", "acquire_cached":
			var count int
			must(t, json.Unmarshal(step[2], &count))
			ls, err := r.Acquire(ctx, compute.Request{Source: source, Count: count, Owner: "ann", CachedOnly: op == "acquire_cached"})
			from := map[string]int{}
			for _, l := range ls {
				i, _, err := r.Resolve(ctx, string(l.Instance))
				must(t, err)
				child := i.Source
				if i.Child != "" {
					c, _, err := r.Resolve(ctx, string(i.Child))
					must(t, err)
					child = c.Source
				}
				from[child]++
				held[source+"/"+child] = append(held[source+"/"+child], l.Instance)
			}
			var want map[string]int
			var number int
			switch {
			case string(after.Result) == `"error"`:
				if err == nil || len(ls) > 0 {
					t.Fatalf("%s: no error, and %v", what, ls)
				}
			case json.Unmarshal(after.Result, &number) == nil:
				if err != nil || len(ls) != number {
					t.Fatalf("%s: got %d, %v", what, len(ls), err)
				}
			default:
				must(t, json.Unmarshal(after.Result, &want))
				if err != nil || fmt.Sprint(from) != fmt.Sprint(want) {
					t.Fatalf("%s: got %v, %v", what, from, err)
				}
			}
		case "release", "release_force":
			var children []string
			must(t, json.Unmarshal(step[2], &children))
			var names []compute.ID
			for _, c := range children {
				k := source + "/" + c
				names = append(names, held[k][0])
				held[k] = held[k][1:]
			}
			if err := r.Release(
				ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{Force: op == "release_force"}, names...,
			); err != nil {
				t.Fatalf("%s: err = %v; want no error", what, err)
			}
		case "fill":
			if _, err := r.Fill(ctx, source); err != nil {
				t.Fatalf("%s: err = %v; want no error", what, err)
			}
		default:
			t.Fatalf("unknown operation %q", op)
		}
		sts, err := r.Status(ctx)
		must(t, err)
		for _, st := range sts {
			got := []int{st.Counts.InUse(), st.Counts.Cached(), st.Maximum}
			if st.Type != "pool" {
				made, gone := 0, 0
				if f := r.fakes[st.Name]; f != nil {
					made, gone = f.Made(), f.Destroyed()
				}
				got = append(got, made, gone)
			}
			if fmt.Sprint(got) != fmt.Sprint(after.State[st.Name]) {
				t.Fatalf("%s: %s is %v, want %v", what, st.Name, got, after.State[st.Name])
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
