package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/store"
)

// The bubble's clock is the wall clock here. A machine's own clock, which nobody sets, is what a
// test says: to let an hour pass of which the machine knows nothing is to have its wall clock set
// forward by one.

// machine has run for as long as the bubble, but for what its wall clock was set.
type machine struct {
	began time.Time
	run   string
	set   time.Duration
}

func (m *machine) uptime() (string, time.Duration, error) {
	return m.run, time.Since(m.began) - m.set, nil
}

// TestBadIsRemembered: that a server is bad outlives the process that said so, with the reason and
// since when, and whoever takes the server over destroys it when its time has come, however the
// wall clock was set meanwhile.
func TestBadIsRemembered(t *testing.T) {
	const confirm, passed, skipped = 30 * time.Minute, 10 * time.Minute, 5 * time.Hour
	for _, c := range []struct {
		name string
		jump func(t *testing.T, m *machine, p process, names ...string)
		bad  time.Duration // for so long, as the next process sees it
	}{
		{"in order", func(*testing.T, *machine, process, ...string) {}, passed},
		{"the clock was set forward", func(_ *testing.T, m *machine, _ process, _ ...string) {
			m.set += skipped
			time.Sleep(skipped)
		}, passed},
		{"nobody was there for hours", func(*testing.T, *machine, process, ...string) { time.Sleep(skipped) }, passed + skipped},
		{"the machine was started anew", func(_ *testing.T, m *machine, _ process, _ ...string) {
			time.Sleep(time.Minute)
			m.run, m.began = "second", time.Now()
		}, passed + time.Minute},
		{"the clock was set back while it was started anew", func(t *testing.T, m *machine, p process, names ...string) {
			m.run, m.began = "second", time.Now()
			for _, name := range names {
				ahead(t, p, name, skipped)
			}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, file := newSky(), state(t)
			synctest.Test(t, func(t *testing.T) {
				ctx, m := t.Context(), &machine{began: time.Now(), run: "first"}
				open := func() process {
					p := start(t, s, file, func(o *cloud.Options) { o.AutoConfirmDead = confirm })
					cloud.SetUptime(p.Cloud, m.uptime)
					return p
				}
				one := open()
				spawn := func() string {
					return must(one.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t).Name
				}
				silent, burnt, healed := spawn(), spawn(), spawn()
				named := func(p process, name string) *cloud.Server { return must(p.GetServerByName(ctx, name))(t) }
				named(one, silent).GoneBad()
				named(one, burnt).GoneBad("burnt")
				named(one, healed).GoneBad()
				if !named(one, healed).NotBad() {
					t.Error("it does not heal")
				}
				time.Sleep(passed)
				one.store.Close() // it dies
				two := open()
				defer two.stop(t)
				c.jump(t, m, two, silent, burnt)
				for _, name := range []string{silent, burnt} {
					if srv := named(two, name); !srv.IsBad() || srv.BadDuration() != c.bad || srv.Allocate(1, 1, 1) {
						t.Errorf("the next process has it be bad: %v, for %v, want %v", srv.IsBad(), srv.BadDuration(), c.bad)
					}
				}
				if named(two, burnt).PermanentProblem() != "burnt" || named(two, burnt).NotBad() ||
					named(two, silent).PermanentProblem() != "" || named(two, healed).IsBad() {
					t.Error("the reasons are others now")
				}
				if err := two.Recover(ctx); err != nil {
					t.Error(err)
				}
				if rest := confirm - c.bad; rest > 0 {
					time.Sleep(rest - time.Second)
					synctest.Wait()
					if len(s.computers.IDs()) != 3 {
						t.Errorf("a second before their time there are %v", s.computers.IDs())
					}
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if ids := s.computers.IDs(); len(ids) != 1 || string(ids[0]) != healed {
					t.Errorf("after their time there are %v", ids)
				}
				_ = one.Close() // its goroutines are to end with the bubble
			})
		})
	}
}

// ahead has what is recorded of a server that is bad lie ahead of the clock.
func ahead(t *testing.T, p process, name string, by time.Duration) {
	t.Helper()
	err := p.store.Update(t.Context(), func(tx store.Tx) error {
		notes, key := tx, "cloud:test:server:"+name
		text, err := notes.Note(key)
		if err != nil {
			return err
		}
		var r map[string]any
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return err
		}
		since, _ := r["bad"].(map[string]any)["since"].(map[string]any)
		wall, err := time.Parse(time.RFC3339Nano, since["wall"].(string))
		if err != nil {
			return err
		}
		since["wall"] = wall.Add(by)
		out, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return notes.SaveNote(key, string(out))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBadForAll: what one process says of a server's health counts for another one that is there at
// the same time, and what is bad for ever for the one heals for none.
func TestBadForAll(t *testing.T) {
	s, file := newSky(), state(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		dead := func(o *cloud.Options) { o.AutoConfirmDead = 30 * time.Minute }
		one, two := start(t, s, file, dead), start(t, s, file, dead)
		defer one.stop(t)
		defer two.stop(t)
		had := must(one.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t)
		seen := must(two.GetServerByName(ctx, had.Name))(t)
		seen.GoneBad()
		if must(one.Servers(ctx))(t); !had.IsBad() || had.Allocate(1, 1, 1) {
			t.Error("what another process found bad is used")
		}
		time.Sleep(20 * time.Minute)
		if !had.NotBad() {
			t.Error("it does not heal")
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if len(s.computers.IDs()) != 1 || seen.IsBad() {
			t.Errorf("it healed, and there are %v; bad for who said so first: %v", s.computers.IDs(), seen.IsBad())
		}
		seen.GoneBad()
		had.GoneBad("burnt") // which the other one has not heard of
		if seen.NotBad() || !seen.IsBad() || seen.PermanentProblem() != "burnt" {
			t.Error("what is bad for ever heals for another process")
		}
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if len(s.computers.IDs()) != 0 {
			t.Errorf("after its time there are %v", s.computers.IDs())
		}
	})
}

// TestBadIsNotRecorded: where the store fails, a process goes on by what it knows, and writes that
// when it can.
func TestBadIsNotRecorded(t *testing.T) {
	s, file := newSky(), state(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		f := &failing{}
		one := start(t, s, file, func(o *cloud.Options) { f.Store, o.Store = o.Store, f })
		two := start(t, s, file, nil)
		defer two.stop(t)
		had := must(one.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t)
		f.err = errors.New("the disk is full")
		had.GoneBad()
		if must(one.Servers(ctx))(t); !had.IsBad() {
			t.Error("it is in order, as nothing else is recorded")
		}
		if must(two.GetServerByName(ctx, had.Name))(t).IsBad() {
			t.Error("it was recorded")
		}
		f.err = nil
		had.GoneBad("burnt")
		if must(two.GetServerByName(ctx, had.Name))(t).PermanentProblem() != "burnt" {
			t.Error("it was not recorded when that was possible")
		}
		one.stop(t)
	})
}

// failing is a store that cannot be written while err is set.
type failing struct {
	cloud.Store
	err error
}

func (f *failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.Update(ctx, fn)
}
