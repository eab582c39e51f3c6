package pooltest

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

// Rig is an engine on a state file, over computers in memory.
type Rig struct {
	*pool.Pool
	Store  *sqlite.Store
	Clouds map[string]*fake.Cloud    // by source; made when they are first needed
	Fakes  map[string]*fake.Provider // by source, once it is open
	// Fail makes calls of the fakes fail; nil: none does.
	Fail func(source, op string, id compute.ID) error
}

// RigOptions change a rig.
type RigOptions struct {
	Dir    string                 // of the state file; "": one of the test's
	Store  *sqlite.Store          // nil: one is opened in Dir, and closed at the end of the test
	Clouds map[string]*fake.Cloud // that several rigs share
	Fake   fake.Options           // of each source's provider, but for what the rig sets
	// Wrap is put around each provider; nil: nothing is.
	Wrap   func(source string, p compute.Provider) compute.Provider
	Change func(*pool.Options) // the last word; nil: none
}

// opening is held where a rig's maps are written, which may be another's too.
var opening sync.Mutex

// New returns a rig. Several may share a directory and clouds.
func New(t testing.TB, sources []pool.Source, with RigOptions) *Rig {
	t.Helper()
	r := &Rig{Store: with.Store, Clouds: with.Clouds, Fakes: map[string]*fake.Provider{}}
	if r.Clouds == nil {
		r.Clouds = map[string]*fake.Cloud{}
	}
	var err error
	if r.Store == nil {
		if with.Dir == "" {
			with.Dir = t.TempDir()
		}
		if r.Store, err = sqlite.Open(context.Background(), filepath.Join(with.Dir, "state.db"), sqlite.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Store.Close() })
	}
	opt := pool.Options{
		Store: r.Store, Sources: sources, NewID: uuid.NewString,
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			return r.open(ctx, name, with)
		},
	}
	if with.Change != nil {
		with.Change(&opt)
	}
	if r.Pool, err = pool.New(opt); err != nil {
		t.Fatal(err)
	}
	return r
}

// open opens the provider of a source.
func (r *Rig) open(ctx context.Context, name string, with RigOptions) (compute.Provider, error) {
	opening.Lock() // several may be the first to use a source
	defer opening.Unlock()
	if r.Clouds[name] == nil {
		r.Clouds[name] = fake.NewCloud()
	}
	o := with.Fake
	o.Source, o.Installation, o.Cloud = name, r.Store.Installation(), r.Clouds[name]
	o.Fail = func(op string, id compute.ID) error {
		if r.Fail == nil {
			return nil
		}
		return r.Fail(name, op, id)
	}
	f, err := fake.Open(ctx, slog.New(slog.DiscardHandler), o)
	if err != nil {
		return nil, err
	}
	r.Fakes[name] = f
	if with.Wrap != nil {
		return with.Wrap(name, f), nil
	}
	return f, nil
}
