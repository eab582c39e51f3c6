package director_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a director at work on an engine with a store and fake computers, in a bubble with a clock
// of its own.
type rig struct {
	*pool.Pool
	t        *testing.T
	store    *sqlite.Store
	fake     *fake.Provider
	director *director.Director
	bell     chan struct{}
	fail     atomic.Pointer[func(op string, id compute.ID) error]
	follows  atomic.Bool // another leads
	end      func()
}

type setting struct {
	// of the fake, from before the director's first look; nil: nothing
	fails  func(op string, id compute.ID) error
	source pool.Source
	fake   fake.Options
	policy director.Policy
	limits director.Limits
	dry    bool
	more   []pool.Source
	wrap   func(compute.Provider) compute.Provider // around each provider; nil: nothing
}

// directed runs a test in a bubble; the director runs until it ends.
func directed(t *testing.T, set setting, f func(ctx context.Context, r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		st, err := sqlite.Open(ctx, filepath.Join(dir, "state.db"), sqlite.Options{Unsafe: true})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		defer cancel()
		r := &rig{t: t, store: st, bell: make(chan struct{}, 1)}
		set.source.Name, set.source.Type, set.source.Digest = "web", "fake", "d"
		r.Pool, err = pool.New(pool.Options{Store: st, Sources: append([]pool.Source{set.source}, set.more...), NewID: uuid.NewString,
			Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
				o := set.fake
				o.Source, o.Installation, o.Cloud = name, st.Installation(), fake.NewCloud()
				o.Fail = func(op string, id compute.ID) error {
					if f := r.fail.Load(); f != nil {
						return (*f)(op, id)
					}
					return nil
				}
				p, err := fake.Open(ctx, slog.New(slog.DiscardHandler), o)
				if name == "web" {
					r.fake = p
				}
				if set.wrap != nil && err == nil {
					return set.wrap(p), nil
				}
				return p, err
			}})
		if err != nil {
			t.Fatal(err)
		}
		r.director, err = director.New(director.Options{
			Pool: r.Pool, Policies: map[string]director.Policy{"web": set.policy}, Limits: set.limits, Bell: r.bell,
			DryRun: set.dry, Leads: func() bool { return !r.follows.Load() },
		})
		if err != nil {
			t.Fatal(err)
		}
		if set.fails != nil {
			r.fails(set.fails)
		}
		ended := make(chan error)
		go func() { ended <- r.director.Run(ctx) }()
		r.end = func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run returned %v", err)
			}
			r.end = func() {}
		}
		defer func() { r.end() }()
		f(ctx, r)
	})
}

func (r *rig) fails(f func(op string, id compute.ID) error) { r.fail.Store(&f) }

func (r *rig) counts() inventory.Counts {
	r.t.Helper()
	all, err := r.Status(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range all {
		if s.Name == "web" {
			return s.Counts
		}
	}
	return inventory.Counts{}
}

func (r *rig) want(what string, want inventory.Counts) {
	r.t.Helper()
	if got := r.counts(); got != want {
		r.t.Fatalf("%s: %+v, want %+v", what, got, want)
	}
}

func (r *rig) take(ctx context.Context, n int) []compute.ID {
	r.t.Helper()
	ls, err := r.Acquire(ctx, compute.Request{Source: "web", Count: n, Owner: "ann", Wait: time.Hour})
	if err != nil {
		r.t.Fatal(err)
	}
	var ids []compute.ID
	for _, l := range ls {
		ids = append(ids, l.Instance)
	}
	return ids
}

func (r *rig) give(ctx context.Context, ids ...compute.ID) {
	r.t.Helper()
	if err := r.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ids...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) events(kind string) (out []compute.Event) {
	r.t.Helper()
	all, err := r.Events(context.Background(), inventory.EventQuery{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// TestFills: the reserve stands ready before anyone asks, a warm acquire takes no time, and what
// was taken is made anew beside what is in use.
func TestFills(t *testing.T) {
	directed(t, setting{
		source: pool.Source{Reserve: 1, Spare: 2, Maximum: 5}, fake: fake.Options{Boot: 2 * time.Minute},
	}, func(ctx context.Context, r *rig) {
		time.Sleep(time.Second)
		r.want("at first", inventory.Counts{SettingUp: 2})
		time.Sleep(3 * time.Minute)
		r.want("later", inventory.Counts{Ready: 2})
		start := time.Now()
		ids := r.take(ctx, 1)
		if took := time.Since(start); took != 0 {
			t.Errorf("a warm acquire took %v", took)
		}
		r.bell <- struct{}{}
		time.Sleep(time.Second)
		r.want("refilled at the bell", inventory.Counts{Ready: 1, Leased: 1, SettingUp: 1})
		time.Sleep(3 * time.Minute)
		r.want("refilled", inventory.Counts{Ready: 2, Leased: 1})
		ids = append(ids, r.take(ctx, 2)...)
		time.Sleep(10 * time.Minute)
		r.want("the maximum", inventory.Counts{Ready: 2, Leased: 3})
		r.give(ctx, ids...)
		time.Sleep(time.Minute)
		r.want("given back", inventory.Counts{Ready: 2})
		for _, e := range r.events("directive") {
			if e.Text == "" || e.Source != "web" || e.Data["do"] == "" {
				t.Errorf("a directive without reason: %+v", e)
			}
		}
		// Each directive stands in the journal before what it did.
		first := r.events("directive")[0]
		if created := r.events("creating")[0]; first.ID > created.ID {
			t.Errorf("the directive is event %d, and what it made %d", first.ID, created.ID)
		}
	})
}

// TestStorm: never more are made at a time than the limits allow.
func TestStorm(t *testing.T) {
	var mu sync.Mutex
	// by name: the first may have been asked for before anybody looked
	now, most := map[compute.ID]bool{}, 0
	directed(t, setting{
		source: pool.Source{Reserve: 40}, fake: fake.Options{CreateTime: time.Minute},
		limits: director.Limits{PerSource: 3},
	}, func(ctx context.Context, r *rig) {
		r.fails(func(op string, id compute.ID) error {
			mu.Lock()
			defer mu.Unlock()
			switch op {
			case "create":
				now[id] = true
				most = max(most, len(now))
			case "create-answer":
				delete(now, id)
			}
			return nil
		})
		time.Sleep(20 * time.Minute)
		r.want("in the end", inventory.Counts{Ready: 40})
	})
	if most != 3 {
		t.Errorf("%d were made at a time, want 3", most)
	}
}

// TestFailing: a source that fails is paused and tried seldom, and comes to what is wanted when it
// works again.
func TestFailing(t *testing.T) {
	var broken atomic.Bool
	var tries atomic.Int32
	broken.Store(true)
	fails := func(op string, _ compute.ID) error {
		if op == "create" && broken.Load() {
			tries.Add(1)
			return errors.New("quota is nought")
		}
		return nil
	}
	directed(t, setting{source: pool.Source{Reserve: 5}, fails: fails}, func(ctx context.Context, r *rig) {
		time.Sleep(time.Hour)
		if n := tries.Load(); n < 5 || n > 30 {
			t.Errorf("it was tried %d times in an hour", n)
		}
		for range 600 { // what failed just now is there until it is discarded
			if r.counts() == (inventory.Counts{}) {
				break
			}
			time.Sleep(time.Second)
		}
		r.want("while it fails", inventory.Counts{})
		broken.Store(false)
		time.Sleep(15 * time.Minute)
		if _, err := r.RunDue(ctx); err != nil {
			t.Error(err)
		}
		r.want("mended", inventory.Counts{Ready: 5})
	})
}

// TestSurplus: what is too many goes after idle, the one that stood the longest first, and looking
// keeps nothing alive.
func TestSurplus(t *testing.T) {
	directed(t, setting{source: pool.Source{Idle: 10 * time.Minute}}, func(ctx context.Context, r *rig) {
		a, b := r.take(ctx, 1), r.take(ctx, 1)
		r.give(ctx, b...)
		time.Sleep(5 * time.Minute)
		r.give(ctx, a...)
		time.Sleep(4 * time.Minute)
		r.want("nine minutes", inventory.Counts{Ready: 2})
		time.Sleep(2 * time.Minute)
		r.want("eleven", inventory.Counts{Ready: 1})
		if i, _, err := r.Resolve(ctx, string(a[0])); err != nil || i.State != compute.Ready {
			t.Errorf("the one that was given back last: %+v %v", i, err)
		}
		time.Sleep(5 * time.Minute)
		r.want("sixteen", inventory.Counts{})
	})
}

// TestSchedules: a window opens at its time and closes, and what it wanted goes then; a release
// while it is open keeps what it wants.
func TestSchedules(t *testing.T) {
	w := window(t, "night", "0 1 * * *", "0 3 * * *", 0, 2)
	// it is midnight there
	directed(t, setting{
		policy: director.Policy{Strategy: director.Schedule{Windows: []director.Window{w}}},
	}, func(ctx context.Context, r *rig) {
		time.Sleep(59 * time.Minute)
		r.want("before", inventory.Counts{})
		time.Sleep(2 * time.Minute)
		r.want("open", inventory.Counts{Ready: 2})
		ids := r.take(ctx, 2)
		time.Sleep(time.Minute)
		r.want("beside those in use", inventory.Counts{Ready: 2, Leased: 2})
		r.give(ctx, ids...)
		r.want("released", inventory.Counts{Ready: 2})
		time.Sleep(time.Hour + 45*time.Minute)
		r.want("still open", inventory.Counts{Ready: 2})
		time.Sleep(15 * time.Minute)
		r.want("closed", inventory.Counts{})
	})
}

// TestColdOnes: what is beyond what is wanted is stopped, started before new ones are made, and
// also by an acquire itself.
func TestColdOnes(t *testing.T) {
	directed(t, setting{
		source: pool.Source{Spare: 1, Cold: 2, Idle: time.Minute},
		fake:   fake.Options{CreateTime: 3 * time.Minute, Boot: 10 * time.Second},
	}, func(ctx context.Context, r *rig) {
		ids := r.take(ctx, 4)
		time.Sleep(10 * time.Minute)
		r.give(ctx, ids...)
		time.Sleep(10 * time.Minute)
		r.want("one warm and two cold", inventory.Counts{Ready: 3})
		cold := func() (n int) {
			all, err := r.Instances(ctx, inventory.InstanceQuery{States: []compute.State{compute.Ready}})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range all {
				if i.Cold {
					n++
				}
			}
			return n
		}
		if cold() != 2 {
			t.Fatalf("%d are cold", cold())
		}
		made := r.fake.Made()
		start := time.Now()
		first := r.take(ctx, 1)
		if took := time.Since(start); took != 0 {
			t.Errorf("the warm one took %v", took)
		}
		time.Sleep(time.Minute)
		if cold() != 1 || r.fake.Made() != made {
			t.Errorf(
				"%d are cold and %d were made, want 1 and none: a cold one takes the place of the warm one", cold(),
				r.fake.Made()-made,
			)
		}
		start = time.Now()
		second := r.take(ctx, 2) // a warm one and a cold one
		if took := time.Since(start); took < 10*time.Second || took > 15*time.Second {
			t.Errorf("a cold one took %v, and it boots in 10 s", took)
		}
		if cold() != 0 {
			t.Errorf("%d are cold", cold())
		}
		c, err := r.Connect(ctx, compute.Who{Owner: "ann"}, second[1])
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		r.give(ctx, append(first, second...)...)
		time.Sleep(10 * time.Minute)
		if cold() != 2 {
			t.Errorf("in the end %d are cold: %+v", cold(), r.counts())
		}
	})
}

// TestStopFails: one that cannot be stopped is no use to anybody.
func TestStopFails(t *testing.T) {
	directed(t, setting{source: pool.Source{Cold: 2, Idle: time.Minute}}, func(ctx context.Context, r *rig) {
		r.fails(func(op string, _ compute.ID) error {
			if op == "stop" {
				return errors.New("it hangs")
			}
			return nil
		})
		r.give(ctx, r.take(ctx, 1)...)
		time.Sleep(5 * time.Minute)
		if _, err := r.RunDue(ctx); err != nil {
			t.Error(err)
		}
		r.want("in the end", inventory.Counts{})
	})
}

// TestDemandOfAStore: a constant load finds instances ready after a while, nothing comes and goes
// any more, and without load all goes.
func TestDemandOfAStore(t *testing.T) {
	set := setting{
		source: pool.Source{Idle: 10 * time.Minute, Window: time.Hour}, fake: fake.Options{CreateTime: 90 * time.Second},
		policy: director.Policy{Strategy: director.Demand{}},
	}
	directed(t, set, func(ctx context.Context, r *rig) {
		waited, asked := 0, 0
		load := func(minutes int) {
			for range minutes {
				start := time.Now()
				ids := r.take(ctx, 2)
				asked++
				if time.Since(start) > 0 {
					waited++
				}
				time.Sleep(20 * time.Second)
				r.give(ctx, ids...)
				time.Sleep(time.Minute - time.Since(start)%time.Minute)
			}
		}
		load(90)
		if waited > 3 {
			t.Errorf("%d of %d had to wait", waited, asked)
		}
		made, gone := r.fake.Made(), r.fake.Destroyed()
		waited = 0
		load(120)
		if waited > 0 || r.fake.Made() != made || r.fake.Destroyed() != gone {
			t.Errorf(
				"in two hours of constant load %d waited, %d were made and %d discarded", waited, r.fake.Made()-made,
				r.fake.Destroyed()-gone,
			)
		}
		plans, _ := r.director.Last()
		t.Logf("%+v: %+v", plans[0].Level, r.counts())
		for range 12 {
			time.Sleep(10 * time.Minute)
			if _, err := r.RunDue(ctx); err != nil {
				t.Error(err)
			}
		}
		r.want("without load", inventory.Counts{})
	})
}

// TestDryRun: it says what it would do and does nothing.
func TestDryRun(t *testing.T) {
	directed(t, setting{source: pool.Source{Reserve: 3}, dry: true}, func(ctx context.Context, r *rig) {
		time.Sleep(time.Hour)
		r.want("an hour later", inventory.Counts{})
		plans, looked := r.director.Last()
		if len(plans) != 1 || words(plans[0].Directives) != "create 3" || time.Since(looked) > time.Minute {
			t.Errorf("%+v at %v", plans, looked)
		}
		if n := len(r.events("directive")); n > 0 {
			t.Errorf("%d directives are recorded", n)
		}
	})
	directed(t, setting{
		source: pool.Source{Reserve: 3}, policy: director.Policy{DryRun: true},
		more: []pool.Source{{Name: "other", Type: "fake", Digest: "d", Reserve: 1}},
	},
		func(ctx context.Context, r *rig) {
			time.Sleep(time.Minute)
			r.want("of the one source", inventory.Counts{})
			all, err := r.Instances(ctx, inventory.InstanceQuery{})
			if err != nil || len(all) != 1 || all[0].Source != "other" {
				t.Errorf(`all = %+v err = %v; want no error and len(all) == 1 and all[0].Source == "other"`, all, err)
			}
		})
}

// TestChange: another configuration counts from the next look on, and what was under way is carried
// out.
func TestChange(t *testing.T) {
	directed(t, setting{
		source: pool.Source{Reserve: 2}, fake: fake.Options{CreateTime: 10 * time.Minute},
	}, func(ctx context.Context, r *rig) {
		time.Sleep(time.Minute)
		r.want("under way", inventory.Counts{Creating: 2})
		always := window(t, "always", "* * * * *", "0 0 1 7 *", 3, 0)
		r.director.Change(director.Options{
			Pool:     r.Pool,
			Policies: map[string]director.Policy{"web": {Strategy: director.Schedule{Windows: []director.Window{always}}}},
		})
		time.Sleep(30 * time.Second)
		r.want("with another reserve", inventory.Counts{Creating: 3})
		time.Sleep(9 * time.Minute)
		r.want("what was under way", inventory.Counts{Ready: 2, Creating: 1})
		r.director.Change(director.Options{
			Pool: r.Pool, DryRun: true,
			Policies: map[string]director.Policy{"web": {Strategy: level{Reserve: 9, Reason: "more"}}},
		})
		time.Sleep(30 * time.Minute)
		r.want("of a dry run", inventory.Counts{Ready: 3})
	})
}

// TestEnds: Run ends soon and puts down what it was at; the next director goes on.
func TestEnds(t *testing.T) {
	directed(t, setting{
		source: pool.Source{Reserve: 3}, fake: fake.Options{CreateTime: 10 * time.Minute},
	}, func(ctx context.Context, r *rig) {
		time.Sleep(time.Minute)
		r.want("under way", inventory.Counts{Creating: 3})
		start := time.Now()
		r.end()
		if took := time.Since(start); took > time.Second {
			t.Errorf("it ended after %v", took)
		}
		again, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- r.director.Run(again) }()
		time.Sleep(30 * time.Minute)
		if _, err := r.RunDue(context.Background()); err != nil {
			t.Error(err)
		}
		r.want("in the end", inventory.Counts{Ready: 3})
		cancel()
		<-ended
	})
}

// TestOverAPool: a pool's reserve is drawn from its children.
func TestOverAPool(t *testing.T) {
	child := pool.Source{Name: "child", Type: "fake", Digest: "d"}
	front := pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"child"}, Reserve: 2}
	directed(t, setting{more: []pool.Source{child, front}}, func(ctx context.Context, r *rig) {
		time.Sleep(time.Minute)
		all, err := r.Instances(ctx, inventory.InstanceQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, i := range all {
			names = append(names, fmt.Sprintf("%s %s", i.ID, i.State))
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"child-1 leased", "child-2 leased", "front-child-1 ready", "front-child-2 ready"}) {
			t.Errorf(
				"names = %q"+
					`; want names == []string{"child-1 leased", "child-2 leased", "front-child-1 ready", `+
					`"front-child-2 ready"}`,
				names,
			)
		}
	})
}

// TestWaiting: for those who wait instances are made at once and beside each other.
func TestWaiting(t *testing.T) {
	directed(t, setting{source: pool.Source{Maximum: 4}, fake: fake.Options{CreateTime: time.Minute}}, func(ctx context.Context, r *rig) {
		ids := r.take(ctx, 4)
		start := time.Now()
		got := make(chan time.Duration, 4)
		for range 4 {
			go func() {
				ls, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "bob", Wait: time.Hour})
				if err != nil || len(ls) != 1 {
					t.Error(err)
				}
				got <- time.Since(start)
			}()
		}
		time.Sleep(10 * time.Second)
		for _, id := range ids {
			if err := r.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{Force: true}, id); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			if took := <-got; took > 2*time.Minute {
				t.Errorf("one had to wait for %v", took)
			}
		}
	})
}

// TestLeads: who does not lead does nothing, though the bell rings; what he had begun he ends.
func TestLeads(t *testing.T) {
	directed(t, setting{
		source: pool.Source{Spare: 1}, fake: fake.Options{CreateTime: 10 * time.Minute},
	}, func(ctx context.Context, r *rig) {
		time.Sleep(time.Minute)
		r.want("while it leads", inventory.Counts{Creating: 1})
		r.follows.Store(true)
		time.Sleep(time.Hour)
		r.want("what was begun", inventory.Counts{Ready: 1})
		r.take(ctx, 1)
		r.bell <- struct{}{}
		time.Sleep(time.Hour)
		r.want("while another leads", inventory.Counts{Leased: 1})
		r.follows.Store(false)
		r.bell <- struct{}{}
		time.Sleep(time.Hour)
		r.want("when it leads again", inventory.Counts{Leased: 1, Ready: 1})
	})
}
