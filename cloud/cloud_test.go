package cloud_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
	"github.com/hostler-project/hostler/store/sqlite"
)

// sky is a cloud of fake computers, behind a cloud.Backend. It outlives the processes that use it.
type sky struct {
	computers *fake.Cloud
	options   fake.Options // of the computers
	flavors   []cloud.Flavor
	quota     cloud.Quota
	project   string
	full      map[string]bool             // flavors without hardware
	opening   func(context.Context) error // before a provider is opened; nil: nothing

	mu       sync.Mutex
	self     string
	deployed bool
	asked    int // for flavors
}

func newSky() *sky {
	return &sky{computers: fake.NewCloud(), project: "p", flavors: []cloud.Flavor{
		{ID: "1", Name: "small", Cores: 1, RAM: 2048, Disk: 10}, {ID: "2", Name: "large", Cores: 4, RAM: 8000, Disk: 20},
		{ID: "3", Name: "other.large", Cores: 4, RAM: 8000, Disk: 30},
	}}
}

type door struct {
	cloud.Backend // nil: this package asks no more of it than what follows
	*sky
	setup cloud.Setup
}

// full refuses some flavors.
type choosy struct {
	*fake.Provider
	full map[string]bool
}

func (c choosy) Unwrap() compute.Provider { return c.Provider }

// CreateLag is how long a request that was not answered may still take effect.
func (c choosy) CreateLag() time.Duration { return time.Minute }

func (c choosy) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	if c.full[spec.Flavor] {
		return compute.Instance{}, &compute.Error{
			Op: "sky.Create", ID: spec.ID, Kind: compute.ErrNoCapacity,
			Err: errors.New("No valid host was found. There are not enough hosts available."),
		}
	}
	return c.Provider.Create(ctx, spec)
}

func (d door) Servers(ctx context.Context, _ deployment.Options, _ cloud.Login) (compute.Provider, error) {
	if d.opening != nil {
		if err := d.opening(ctx); err != nil {
			return nil, err
		}
	}
	o := d.options
	o.Cloud, o.Installation, o.Source = d.computers, d.setup.Store.Installation(), d.setup.Resource
	p, err := fake.Open(ctx, d.setup.Log, o)
	if err != nil {
		return nil, err
	}
	return choosy{p, d.full}, nil
}

func (d door) Deploy(context.Context, deployment.Options, deployment.Settings) (*deployment.Record, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deployed = true
	return &deployment.Record{Things: []deployment.Thing{{Kind: deployment.Network, Name: "n", ID: "n"}}}, "", nil
}

func (d door) Teardown(_ context.Context, o deployment.Options) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.deployed {
		return &compute.Error{Kind: compute.ErrNotFound}
	}
	d.deployed = o.DryRun
	o.Tell(deployment.Step{Did: deployment.Deleted, Kind: deployment.Network, Name: "n"})
	return nil
}

func (d door) Flavors(context.Context, bool) (*flavor.Table, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	return flavor.New(d.flavors), nil
}

func (d door) Quota(context.Context, bool) (out []clouds.Quota, _ string, _ error) {
	for _, q := range []struct {
		name      string
		unit      int64
		max, used int
	}{
		{clouds.QuotaInstances, 1, d.quota.Max.Instances, d.quota.Used.Instances},
		{clouds.QuotaCores, 1, d.quota.Max.Cores, d.quota.Used.Cores},
		{clouds.QuotaMemory, 1 << 20, d.quota.Max.RAM, d.quota.Used.RAM},
		{clouds.QuotaVolumeBytes, 1 << 30, d.quota.Max.Volume, d.quota.Used.Volume},
	} {
		most, used := int64(q.max)*q.unit, int64(q.used)*q.unit
		out = append(out, clouds.Quota{Name: q.name, Max: &most, Used: &used})
	}
	return out, "", nil
}

func (d door) Place(context.Context) (clouds.Place, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return clouds.Place{Project: d.project, Identity: d.project}, nil
}

func (d door) Self(context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.self, nil
}

func (d door) NoHardware(err error) bool {
	return errors.Is(err, compute.ErrNoCapacity) && strings.Contains(err.Error(), "not enough hosts")
}

// process is a process that uses a cloud: a store's handle of its own, and the cloud on it.
type process struct {
	*cloud.Cloud
	store *sqlite.Store
}

// start opens a cloud as a new process does.
func start(t testing.TB, s *sky, file string, change func(*cloud.Options)) process {
	t.Helper()
	store, err := sqlite.Open(context.Background(), file, sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	o := cloud.Options{
		Resource: "test", Store: store,
		Open: func(_ context.Context, setup cloud.Setup) (cloud.Backend, error) {
			return door{sky: s, setup: setup}, nil
		},
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	c, err := cloud.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	cloud.SetUptime(c, nil) // in a bubble the real one says nothing
	return process{c, store}
}

// stop ends a process in order.
func (p process) stop(t testing.TB) {
	t.Helper()
	if err := errors.Join(p.Close(), p.store.Close()); err != nil {
		t.Error(err)
	}
}

func state(t testing.TB) string { return filepath.Join(t.TempDir(), "state.db") }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// bubble runs a test with a cloud, in a bubble in which time is free.
func bubble(t *testing.T, s *sky, change func(*cloud.Options), fn func(t *testing.T, p process)) {
	file := state(t)
	synctest.Test(t, func(t *testing.T) {
		p := start(t, s, file, change)
		defer p.stop(t)
		must(p.Deploy(t.Context(), cloud.DeployConfig{}))(t)
		fn(t, p)
	})
}

// TestIdle: a server that nobody uses any more goes after its time, and no other.
func TestIdle(t *testing.T) {
	s := newSky()
	bubble(t, s, nil, func(t *testing.T, p process) {
		ctx := t.Context()
		order := cloud.Order{OS: "img", Flavor: "large", TTD: 2 * time.Second}
		never, used := must(p.Spawn(ctx, order))(t), must(p.Spawn(ctx, order))(t)
		alive := func(want bool, when string) {
			t.Helper()
			synctest.Wait()
			if used.Destroyed() == want {
				t.Fatalf("%s: destroyed is %v", when, !want)
			}
		}
		time.Sleep(time.Hour)
		alive(true, "never used")
		if !used.Allocate(1, 100, 0) || !used.Used() {
			t.Fatal("nothing fits")
		}
		used.Release(1, 100, 0)
		time.Sleep(time.Second)
		alive(true, "in its countdown")
		used.Allocate(1, 100, 0)
		time.Sleep(time.Hour)
		alive(true, "used again")
		used.Allocate(0, 50, 0)
		used.Release(0, 50, 0)
		time.Sleep(time.Hour)
		alive(true, "a second job ended and the first runs")
		used.Release(1, 100, 0)
		time.Sleep(1999 * time.Millisecond)
		alive(true, "just before the end")
		time.Sleep(time.Second + time.Millisecond)
		alive(false, "3 s after the last release")
		if used.Allocate(1, 1, 0) || used.HasSpaceFor(1, 1, 0) != 0 || used.NotBad() {
			t.Error("a destroyed server takes work")
		}
		if never.Destroyed() || len(s.computers.IDs()) != 1 {
			t.Errorf("there are %v", s.computers.IDs())
		}
		never.StartCountdown()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !never.Destroyed() || len(s.computers.IDs()) != 0 {
			t.Errorf("a server that is not used stays though it was put on the countdown: %v", s.computers.IDs())
		}
	})
}

// TestIdleNever: without a TTD nothing goes.
func TestIdleNever(t *testing.T) {
	bubble(t, newSky(), nil, func(t *testing.T, p process) {
		srv := must(p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "large"}))(t)
		srv.Allocate(1, 1, 0)
		srv.Release(1, 1, 0)
		srv.Release(1, 1, 0) // once too often: nothing is given back twice
		if got := srv.HasSpaceFor(1, 0, 0); got != 4 {
			t.Errorf("%d fit", got)
		}
		time.Sleep(1000 * time.Hour)
		if srv.Destroyed() {
			t.Error("it is gone")
		}
	})
}

// TestCommandKeepsAlive: a server is not destroyed under a command.
func TestCommandKeepsAlive(t *testing.T) {
	s := newSky()
	started, goOn := make(chan struct{}), make(chan struct{})
	file := state(t)
	synctest.Test(t, func(t *testing.T) {
		started, goOn = make(chan struct{}), make(chan struct{})
		s.options.Fail = func(op string, _ compute.ID) error {
			if op == "run" {
				close(started)
				<-goOn
			}
			return nil
		}
		p := start(t, s, file, nil)
		defer p.stop(t)
		srv := must(p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small", TTD: time.Second}))(t)
		srv.StartCountdown()
		time.Sleep(999 * time.Millisecond)
		ran := make(chan error, 1)
		go func() {
			_, _, err := srv.RunCmd(t.Context(), "work", false)
			ran <- err
		}()
		<-started
		time.Sleep(time.Hour)
		if srv.Destroyed() {
			t.Error("destroyed under a command")
		}
		s.options.Fail = nil
		close(goOn)
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// TestUsingQuota: the caller's reservation is always dropped, once, whatever happens.
func TestUsingQuota(t *testing.T) {
	for _, c := range []struct {
		name  string
		order cloud.Order
		fail  string
		want  error
	}{
		{"made", cloud.Order{OS: "img", Flavor: "small"}, "", nil},
		{"no image", cloud.Order{Flavor: "small"}, "", compute.ErrInvalid},
		{"no flavor", cloud.Order{OS: "img", Flavor: "smal"}, "", compute.ErrNotFound},
		{"refused", cloud.Order{OS: "img", Flavor: "small"}, "create", compute.ErrConflict},
		{"lost answer", cloud.Order{OS: "img", Flavor: "small"}, "create-answer", compute.ErrConflict},
		{"never runs", cloud.Order{OS: "img", Flavor: "small"}, "connect", compute.ErrConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSky()
			s.options.Fail = func(op string, id compute.ID) error {
				if op == c.fail {
					return &compute.Error{Op: op, ID: id, Kind: compute.ErrConflict, Err: errors.New("on purpose")}
				}
				return nil
			}
			bubble(t, s, nil, func(t *testing.T, p process) {
				signals := 0
				c.order.UsingQuota = func() { signals++ }
				_, err := p.Spawn(t.Context(), c.order)
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if signals != 1 {
					t.Errorf("signalled %d times", signals)
				}
				if all := must(p.Servers(t.Context()))(t); err != nil && (len(all) != 0 || len(s.computers.IDs()) != 0) {
					t.Errorf("left: %v, %v", all, s.computers.IDs())
				}
			})
		})
	}
}

// TestSpawnWaits: a slow boot is waited for, one that never ends is not, and the next spawn waits a
// little.
func TestSpawnWaits(t *testing.T) {
	s := newSky()
	s.options.Boot = 5 * time.Minute
	bubble(t, s, nil, func(t *testing.T, p process) {
		if _, err := p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"}); err != nil {
			t.Fatal(err)
		}
		if n := s.computers.Made(); n != 1 {
			t.Errorf("%d made", n)
		}
	})
	s = newSky()
	s.options.Boot = time.Hour
	bubble(t, s, nil, func(t *testing.T, p process) {
		began := time.Now()
		_, err := p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"})
		if took := time.Since(began); !errors.Is(err, compute.ErrTimeout) || took < 20*time.Minute || took > 21*time.Minute {
			t.Errorf("after %v: %v", took, err)
		}
		if !strings.Contains(err.Error(), "no server was made before") || compute.Hint(err) == "" {
			t.Errorf("%v does not say what to make of it", err)
		}
		if len(s.computers.IDs()) != 0 {
			t.Error("it is still there")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		if _, err := p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}); !errors.Is(err, context.DeadlineExceeded) ||
			s.computers.Made() != 1 {
			t.Errorf("it did not wait after a failure: %v", err)
		}
	})
}

// TestFlavors: the choice of flavors, what failed for lack of hardware, the list that is old.
func TestFlavors(t *testing.T) {
	s := newSky()
	s.full = map[string]bool{"2": true}
	s.quota = cloud.Quota{
		Max:  flavor.Resources{Cores: 20, RAM: 64000, Instances: 10},
		Used: flavor.Resources{Cores: 12, RAM: 32000, Instances: 4},
	}
	bubble(t, s, nil, func(t *testing.T, p process) {
		ctx := t.Context()
		if f, err := p.CheapestServerFlavor(ctx, 2, 100, ""); err != nil || f.Name != "large" {
			t.Errorf(`f = %v, err = %v; want no error and f.Name == "large"`, f, err)
		}
		if _, err := p.CheapestServerFlavor(ctx, 5, 100, ""); !errors.Is(err, flavor.ErrNone) {
			t.Error(err)
		}
		sets := [][]string{{"^large"}, {"^other"}}
		pick := func(want string) {
			t.Helper()
			if f, err := p.PickServerFlavor(ctx, 2, 100, "", sets, flavor.Listed); err != nil || f.Name != want {
				t.Errorf("%v, %v, want %s", f, err, want)
			}
		}
		pick("large")
		_, err := p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "large"})
		if !p.ErrIsNoHardware(err) || p.ErrIsNoHardware(nil) || p.ErrIsNoHardware(errors.New("not enough hosts")) {
			t.Errorf("no hardware: %v", err)
		}
		pick("other.large")
		time.Sleep(15 * time.Minute)
		pick("large")
		if n, why, err := p.Spawnable(ctx, must(p.GetServerFlavor(ctx, "2"))(t), 0); err != nil || n != 2 || why != "" {
			t.Errorf(`n = %d, why = %q, err = %v; want no error and n == 2 and why == ""`, n, why, err)
		}
		before := s.asked
		s.mu.Lock()
		s.flavors = append(s.flavors, cloud.Flavor{ID: "9", Name: "new", Cores: 64, RAM: 1})
		s.mu.Unlock()
		if f, err := p.GetServerFlavor(ctx, "new"); err != nil || f.ID != "9" || s.asked != before+1 {
			t.Errorf("a new flavor: %v, %v, asked %d times", f, err, s.asked-before)
		}
		time.Sleep(31 * time.Minute)
		if _, err := p.GetServerFlavor(ctx, "new"); err != nil || s.asked != before+2 {
			t.Errorf("an old list was not asked for anew: %v, %d", err, s.asked-before)
		}
	})
}
