package cloud_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
	"github.com/hostler-project/hostler/store"
)

// older is what a version of November 2026 has recorded of a deployment with two servers, one of
// them half made. Its process, 77, is long gone.
var older = map[string]string{
	"cloud:test:deployment": `{"details":{"network":"n"},"project":"p"}`,
	"cloud:test:server:test-a": `{"state":"made","owner":77,"begun":{"wall":"1999-12-31T23:00:00Z","run":"first","up":3600000000000},` +
		`"name":"test-a","id":"fake-test-a","os":"img","login":{"User":"me","External":true},` +
		`"flavor":{"ID":"2","Name":"large","Cores":4,"RAM":8000,"Disk":20,"GPUs":0,"Price":0},"disk":50,"ttd":60000000000,` +
		`"head":true,` +
		`"answered":true,"bad":{"since":{"wall":"1999-12-31T23:30:00Z","run":"first","up":5400000000000},"why":"burnt"},"marks":1,` +
		`"script":"s","destroy_script":"d","files":[{"local":"a","remote":"b","optional":true}]}`,
	"cloud:test:server:test-b": `{"state":"creating","owner":77,"begun":{"wall":"1999-12-31T23:00:00Z"},"name":"test-b","os":"img",` +
		`"login":{"User":"","External":false},` +
		`"flavor":{"ID":"1","Name":"small","Cores":1,"RAM":2048,"Disk":10,"GPUs":0,"Price":0},"disk":10}`,
}

// TestOlderVersion: servers that an older version has recorded are seen, taken over and torn down.
func TestOlderVersion(t *testing.T) {
	s, file := newSky(), state(t)
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := start(t, s, file, nil)
		defer p.stop(t)
		if err := p.store.Update(ctx, func(tx store.Tx) error {
			var errs []error
			for name, text := range older {
				errs = append(errs, tx.SaveNote(name, text))
			}
			return errors.Join(errs...)
		}); err != nil {
			t.Fatal(err)
		}
		s.deployed = true
		hand := door{sky: s, setup: cloud.Setup{Resource: "test", Store: p.store, Log: slog.New(slog.DiscardHandler)}}
		made := must(hand.Servers(ctx, deployment.Options{}, cloud.Login{}))(t)
		for _, id := range []compute.ID{"test-a", "test-b"} {
			must(made.Create(context.WithoutCancel(ctx), compute.Spec{ID: id, Source: "test", Installation: p.store.Installation()}))(t)
		}
		srv := must(p.GetServerByName(ctx, "test-a"))(t)
		if !srv.Matches("img", "s", []cloud.File{{Local: "a", Remote: "b", Optional: true}}, &s.flavors[1], false) ||
			srv.UserName != "me" || srv.Disk != 50 || srv.TTD != time.Minute ||
			!srv.IsHeadNode || srv.DestroyScript != "d" || srv.ID != "fake-test-a" {
			t.Errorf("it is %+v", srv)
		}
		if srv.PermanentProblem() != "burnt" || srv.BadDuration() != 30*time.Minute {
			t.Errorf("it is bad for %v: %q, want 30m: burnt", srv.BadDuration(), srv.PermanentProblem())
		}
		if err := p.Recover(ctx); err != nil {
			t.Error(err)
		}
		if ids := s.computers.IDs(); !slices.Equal(ids, []string{"test-a"}) {
			t.Errorf("after the taking over there are %v, want test-a alone", ids)
		}
		if deleted, err := p.TearDown(ctx, false); err != nil || len(deleted) != 2 || len(s.computers.IDs()) != 0 {
			t.Errorf("deleted %v, err %v, and there are %v; want the server and the network gone", deleted, err, s.computers.IDs())
		}
		if err := p.store.View(ctx, func(tx store.Tx) error {
			left, err := tx.Notes("cloud:")
			if len(left) > 0 {
				t.Errorf("still recorded: %v", left)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}
