package cloud_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// TestProcesses: two processes see the same servers, and one takes over what the other left, in
// order or dead, with flavor, user, disk and time.
func TestProcesses(t *testing.T) {
	for _, dead := range []bool{false, true} {
		t.Run(map[bool]string{false: "closed", true: "died"}[dead], func(t *testing.T) {
			s, file := newSky(), state(t)
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				one, two := start(t, s, file, nil), start(t, s, file, nil)
				defer two.stop(t)
				must(one.Deploy(ctx, cloud.DeployConfig{}))(t)
				order := cloud.Order{
					OS: "img", User: "me", Flavor: "large", Disk: 50, TTD: time.Minute, ExternalIP: true, Script: "s",
					ConfigFiles: []cloud.File{{Local: "a"}},
				}
				made := must(one.Spawn(ctx, order))(t)
				order.Flavor = "small"
				second := must(two.Spawn(ctx, order))(t)
				if !made.IsHeadNode || second.IsHeadNode {
					t.Errorf("head nodes: %v, %v", made.IsHeadNode, second.IsHeadNode)
				}
				made.Allocate(1, 1, 1)
				if err := two.Recover(ctx); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour)
				if len(s.computers.IDs()) != 2 {
					t.Fatal("a process destroyed what another one uses")
				}
				seen := must(two.GetServerByName(ctx, made.Name))(t)
				if seen.Flavor != made.Flavor || seen.UserName != "me" || seen.Disk != 50 || seen.TTD != time.Minute ||
					!seen.Matches("img", "s", order.ConfigFiles, &made.Flavor, false) {
					t.Errorf("another process sees %+v", seen)
				}
				if head := must(two.HeadNode(ctx))(t); head == nil || head.Name != made.Name {
					t.Errorf("the head node is %+v", head)
				}
				if dead { // its handle goes without a word
					one.store.Close()
				} else {
					one.stop(t)
				}
				if err := two.Recover(ctx); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute + 2*time.Second)
				synctest.Wait()
				if ids := s.computers.IDs(); len(ids) != 1 || string(ids[0]) != second.Name {
					t.Errorf("what was left idle is still there: %v", ids)
				}
				if dead {
					_ = one.Close() // its goroutines are to end with the bubble
				}
			})
		})
	}
}

// TestDiesWhileSpawning: a process that dies between the recording of a server and the answer
// leaves nothing behind.
func TestDiesWhileSpawning(t *testing.T) {
	for _, op := range []string{"create", "create-answer", "connect"} {
		t.Run(op, func(t *testing.T) {
			s, file := newSky(), state(t)
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				reached, never := make(chan struct{}, 100), make(chan struct{})
				var mu sync.Mutex
				stuck := true
				s.options.Fail = func(now string, _ compute.ID) error {
					mu.Lock()
					stop := stuck && now == op
					mu.Unlock()
					if stop {
						reached <- struct{}{}
						<-never
						return errors.New("this process is dead")
					}
					return nil
				}
				one := start(t, s, file, nil)
				ended := make(chan error, 1)
				go func() {
					_, err := one.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"})
					ended <- err
				}()
				<-reached
				one.store.Close() // as it is when a process ends
				mu.Lock()
				stuck = false
				mu.Unlock()
				two := start(t, s, file, nil)
				defer two.stop(t)
				if err := two.Recover(ctx); err != nil {
					t.Error(err)
				}
				if all := must(two.Servers(ctx))(t); len(all) != 0 || len(s.computers.IDs()) != 0 {
					t.Errorf("left: %v, %v", all, s.computers.IDs())
				}
				if _, err := two.TearDown(ctx, false); !errors.Is(err, compute.ErrNotFound) {
					t.Errorf("something is recorded: %v", err)
				}
				close(never)
				if err := <-ended; err == nil {
					t.Error("the dead process has a server")
				}
				_ = one.Close()
			})
		})
	}
}

// TestNoLockOverCalls: while the cloud does not answer, what is known of a server can be asked, and
// other servers can be worked with.
func TestNoLockOverCalls(t *testing.T) {
	s, file := newSky(), state(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		asked, answer := make(chan struct{}, 100), make(chan struct{})
		s.options.Fail = func(op string, _ compute.ID) error {
			if op == "destroy" {
				asked <- struct{}{}
				<-answer
			}
			return nil
		}
		p := start(t, s, file, nil)
		defer p.stop(t)
		srv, other := must(p.Spawn(
			ctx, cloud.Order{OS: "img", Flavor: "small"},
		))(t), must(p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t)
		gone := make(chan error, 2)
		go func() { gone <- srv.Destroy(ctx) }()
		<-asked
		began := time.Now()
		if !srv.Destroyed() || srv.Allocate(1, 1, 1) || srv.IsBad() || srv.Alive(ctx, false) ||
			srv.HasSpaceFor(1, 0, 0) != 0 || srv.PermanentProblem() != "" {
			t.Error("a server that is being destroyed is said to be something else")
		}
		if _, _, err := srv.RunCmd(ctx, "true", false); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("a command on it: %v", err)
		}
		if !other.Allocate(1, 1, 1) || len(must(p.Servers(ctx))(t)) != 1 {
			t.Error("another server is in its way")
		}
		go func() { gone <- srv.Destroy(ctx) }() // a second one waits for the first
		late, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := srv.Destroy(late); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a third one that has no time: %v", err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("questions waited for the cloud: %v", waited)
		}
		close(answer)
		for range 2 {
			if err := <-gone; err != nil {
				t.Error(err)
			}
		}
		if err := srv.Destroy(ctx); err != nil {
			t.Errorf("destroyed again: %v", err)
		}
	})
}

// TestDestroyIsBounded: a cloud that says yes and does nothing is believed for two minutes; the
// server stays recorded, and TearDown tries again.
func TestDestroyIsBounded(t *testing.T) {
	s := newSky()
	s.options.DestroyTime = time.Hour
	bubble(t, s, nil, func(t *testing.T, p process) {
		ctx := t.Context()
		srv := must(p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t)
		began := time.Now()
		err := srv.Destroy(ctx)
		if took := time.Since(began); !errors.Is(err, compute.ErrTimeout) || took < 2*time.Minute ||
			took > 3*time.Minute || compute.Hint(err) == "" {
			t.Errorf("after %v: %v", took, err)
		}
		if !srv.Destroyed() || srv.Allocate(1, 1, 1) {
			t.Error("it is used again")
		}
		if _, err := p.TearDown(ctx, false); !errors.Is(err, compute.ErrTimeout) || !s.deployed {
			t.Errorf("the network went before the server: %v", err)
		}
		time.Sleep(time.Hour)
		if deleted, err := p.TearDown(ctx, false); err != nil || strings.Join(deleted, ", ") != "server "+srv.Name+", network n" {
			t.Errorf(
				"deleted = %v, err = %v"+
					`; want no error and strings.Join(deleted, ", ") == "server "+srv.Name+", network n"`,
				deleted, err,
			)
		}
	})
}

// TestFailingDestroys: a delete that fails is repeated.
func TestFailingDestroys(t *testing.T) {
	s := newSky()
	s.options.FailDestroy, s.options.Seed = "0.8", 1
	bubble(t, s, nil, func(t *testing.T, p process) {
		srv := must(p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"}))(t)
		if err := srv.Destroy(t.Context()); err != nil || len(s.computers.IDs()) != 0 {
			t.Errorf("%v, there are %v", err, s.computers.IDs())
		}
	})
}

// TestTearDown: all goes, but the server that we run on, and what others made; a dry run changes
// nothing; credentials of another project change nothing either.
func TestTearDown(t *testing.T) {
	s := newSky()
	bubble(t, s, nil, func(t *testing.T, p process) {
		ctx := t.Context()
		own, other := must(p.Spawn(
			ctx, cloud.Order{OS: "img", Flavor: "small"},
		))(t), must(p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t)
		file := state(t)
		// whose name begins as ours
		foreign := start(t, s, file, func(o *cloud.Options) { o.Resource = "test-2" })
		defer foreign.stop(t)
		must(foreign.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t)

		s.mu.Lock()
		s.project = "another"
		s.mu.Unlock()
		if _, err := p.TearDown(ctx, false); !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "another") {
			t.Errorf("with the credentials of another project: %v", err)
		}
		s.mu.Lock()
		s.project, s.self = "p", own.Name
		s.mu.Unlock()
		if in, err := p.InCloud(ctx); !in || err != nil {
			t.Errorf("in = %v, err = %v; want in and no error", in, err)
		}
		deleted, err := p.TearDown(ctx, true)
		if err != nil || len(deleted) != 2 || len(s.computers.IDs()) != 3 || other.Destroyed() {
			t.Errorf("dry: %v, %v, there are %v", deleted, err, s.computers.IDs())
		}
		if deleted, err = p.TearDown(ctx, false); err != nil || len(deleted) != 2 || len(s.computers.IDs()) != 2 ||
			own.Destroyed() || !other.Destroyed() {
			t.Errorf("%v, %v, there are %v", deleted, err, s.computers.IDs())
		}
		if _, err := p.TearDown(ctx, false); !errors.Is(err, compute.ErrNotFound) || !strings.Contains(err.Error(), "did you deploy") {
			t.Errorf("again: %v", err)
		}
	})
}

// TestTornDownByHand: what was deleted behind our back is no trouble.
func TestTornDownByHand(t *testing.T) {
	s := newSky()
	bubble(t, s, nil, func(t *testing.T, p process) {
		ctx := t.Context()
		srv, other := must(p.Spawn(
			ctx, cloud.Order{OS: "img", Flavor: "small"},
		))(t), must(p.Spawn(ctx, cloud.Order{OS: "img", Flavor: "small"}))(t)
		if ok, err := p.CheckServer(ctx, srv.ID); !ok || err != nil || !srv.Alive(ctx, true) {
			t.Errorf("ok = %v, err = %v; want ok and no error and srv.Alive(ctx, true)", ok, err)
		}
		again := door{sky: s, setup: cloud.Setup{Resource: "test", Store: p.store, Log: slog.New(slog.DiscardHandler)}}
		hand := must(again.Servers(ctx, deployment.Options{}, cloud.Login{}))(t)
		for _, one := range []*cloud.Server{srv, other} {
			if err := hand.Destroy(ctx, compute.ID(one.Name)); err != nil {
				t.Fatal(err)
			}
		}
		if srv.Alive(ctx, false) {
			t.Error("a server that was killed by hand is said to be alive")
		}
		if known, err := srv.Known(ctx); known || err != nil {
			t.Errorf("it is known: %v, %v", known, err)
		}
		if !srv.Destroyed() || srv.Allocate(1, 1, 0) || len(must(p.Servers(ctx))(t)) != 1 {
			t.Error("it is still used")
		}
		if _, err := p.TearDown(ctx, false); err != nil {
			t.Error(err)
		}
	})
}

// TestBad: what is bad takes no work, and heals, unless it is bad for ever.
func TestBad(t *testing.T) {
	bubble(t, newSky(), nil, func(t *testing.T, p process) {
		srv := must(p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "large"}))(t)
		srv.GoneBad()
		time.Sleep(time.Minute)
		srv.GoneBad()
		if !srv.IsBad() || srv.BadDuration() != time.Minute || srv.Allocate(1, 1, 1) || srv.HasSpaceFor(1, 1, 1) != 0 ||
			srv.PermanentProblem() != "" {
			t.Error("a bad server is as good as any")
		}
		if !srv.NotBad() || srv.IsBad() || srv.BadDuration() != 0 || !srv.Allocate(1, 1, 1) {
			t.Error("it does not heal")
		}
		srv.GoneBad("burnt")
		srv.GoneBad("drowned")
		if srv.NotBad() || !srv.IsBad() || srv.PermanentProblem() != "burnt" {
			t.Error("it heals, though it is bad for ever")
		}
	})
}

// TestAutoConfirmDead: a server that is bad for so long is destroyed, though it has work, and one
// that heals in time is not.
func TestAutoConfirmDead(t *testing.T) {
	s := newSky()
	bubble(t, s, func(o *cloud.Options) { o.AutoConfirmDead = 30 * time.Minute }, func(t *testing.T, p process) {
		spawn := func() *cloud.Server {
			srv := must(p.Spawn(t.Context(), cloud.Order{OS: "img", Flavor: "small"}))(t)
			if !srv.Allocate(1, 1, 1) {
				t.Fatal("nothing fits on it")
			}
			return srv
		}
		silent, burnt, healed, ended := spawn(), spawn(), spawn(), spawn()
		silent.GoneBad()
		burnt.GoneBad("burnt")
		healed.GoneBad()
		ended.GoneBad()
		time.Sleep(29 * time.Minute)
		silent.GoneBad() // again: that it was before counts
		if !healed.NotBad() || ended.Destroy(t.Context()) != nil || silent.Destroyed() || burnt.Destroyed() {
			t.Error("before its time")
		}
		healed.GoneBad() // anew
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !silent.Destroyed() || !burnt.Destroyed() || healed.Destroyed() || len(must(p.Servers(t.Context()))(t)) != 1 {
			t.Errorf("after it: %v, %v, %v, and there are %v", silent.Destroyed(), burnt.Destroyed(), healed.Destroyed(), s.computers.IDs())
		}
		time.Sleep(29 * time.Minute)
		synctest.Wait()
		if there := s.computers.IDs(); len(there) != 0 || !healed.Destroyed() {
			t.Errorf("there are %v", there)
		}
	})
}

// TestMaxServers: nobody gets more servers than he may have, however many ask at once.
func TestMaxServers(t *testing.T) {
	s := newSky()
	bubble(t, s, func(o *cloud.Options) { o.MaxServers = 3 }, func(t *testing.T, p process) {
		var going sync.WaitGroup
		for range 10 {
			going.Go(func() {
				if _, err := p.Spawn(
					t.Context(), cloud.Order{OS: "img", Flavor: "small"},
				); err != nil && !errors.Is(err, compute.ErrNoCapacity) {
					t.Error(err)
				}
			})
		}
		going.Wait()
		if n := s.computers.Made(); n != 3 {
			t.Errorf("%d were made", n)
		}
		if n, why, err := p.Spawnable(t.Context(), s.flavors[0], 0); n != 0 || why == "" || err != nil {
			t.Errorf(`n = %d, why = %q, err = %v; want n == 0 and why != "" and no error`, n, why, err)
		}
	})
}
