package master_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/migrate"
	"github.com/hostler-project/hostler/slapos/proto"
)

// Releases go with their directory, those that are there, and whatever has one is processed again;
// nothing else is touched.
func TestSetRoot(t *testing.T) {
	r, ctx := newRig(t, master.Options{Computer: "C"}), t.Context()
	r.format("C", 4)
	files := map[string]bool{"/old/stays/software.cfg": true, "/old/both/software.cfg": true, "/new/both/software.cfg": true}
	before := 0
	opt := migrate.RootOptions{
		Exists: func(path string) bool { return files[path] },
		Before: func(context.Context, string) error { before++; return nil },
	}
	set := func(root string, want map[string]string) {
		t.Helper()
		if _, moved, err := migrate.SetRoot(ctx, r.Master, root, opt); err != nil || !maps.Equal(moved, want) {
			t.Errorf("%s: moved = %v, err = %v; want no error and moved == want", root, moved, err)
		}
	}
	releases := func() (all []string) {
		supplies, err := r.Computers.Supplies(ctx, access.Anybody, "C")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range supplies {
			all = append(all, s.State+" "+s.URL)
		}
		slices.Sort(all)
		return all
	}
	at := map[string]*master.Answer{}
	for _, url := range []string{
		"/old/gone/software.cfg", "/old/stays/software.cfg", "/old/both/software.cfg", "/older/software.cfg",
		"/old/../odd/software.cfg",
	} {
		if err := r.Computers.Supply(ctx, access.Anybody, "C", url, ""); err != nil {
			t.Fatal(err)
		}
		if len(at) < 4 {
			at[url] = r.ask(proto.Request{Title: url, Release: url})
		}
	}
	// wanted away under one name, and there under the other
	if err := r.Computers.Supply(ctx, access.Anybody, "C", "/new/both/software.cfg", proto.Destroyed); err != nil {
		t.Fatal(err)
	}
	shared := r.ask(proto.Request{Title: "shared", Shared: true, Release: "/old/gone/software.cfg"})
	if err := r.Statuses.ReleaseReported(ctx, access.Anybody, "C", "/old/gone/software.cfg", proto.Available); err != nil {
		t.Fatal(err)
	}
	was := releases()
	set("/old", nil)       // the first that is said
	set("/old/in/it", nil) // what contains the other moves nothing
	set("/old", nil)
	set("/old", nil)
	if before != 0 || !slices.Equal(was, releases()) {
		t.Errorf("before = %d, releases() = %v; want before == 0 and was == releases()", before, releases())
	}
	opt.Before = func(context.Context, string) error { return errors.New("no room for the copy") }
	if _, _, err := migrate.SetRoot(ctx, r.Master, "/new", opt); err == nil || !slices.Equal(was, releases()) {
		t.Errorf("without a copy: %v, %v", err, releases())
	}
	opt.Before = func(_ context.Context, from string) error {
		if before++; from != "/old" {
			t.Error(from)
		}
		return nil
	}
	set("/new", map[string]string{"/old/gone/software.cfg": "/new/gone/software.cfg", "/old/both/software.cfg": "/new/both/software.cfg"})
	want := []string{
		"available /new/both/software.cfg", "available /new/gone/software.cfg", "available /old/../odd/software.cfg",
		"available /old/stays/software.cfg", "available /older/software.cfg",
	}
	if diff := cmp.Diff(want, releases()); diff != "" || before != 1 {
		t.Errorf(`diff = %s, before = %d; want diff == "" and before == 1`, diff, before)
	}
	for url, a := range at {
		now, err := r.Instances.Find(ctx, access.Anybody, a.Record.ID)
		if err != nil {
			t.Fatal(err)
		}
		moved := url == "/old/gone/software.cfg" || url == "/old/both/software.cfg"
		if (now.Release != url) != moved || now.Stamp > a.Record.Stamp != moved {
			t.Errorf("%s: %s, %d then %d", url, now.Release, a.Record.Stamp, now.Stamp)
		}
	}
	if a := r.ask(proto.Request{
		Title: "shared", Shared: true, Release: "/new/gone/software.cfg",
	}); a.Record.Host != shared.Record.Host || a.Record.Host == "" {
		t.Errorf("a shared instance has another host: %+v", a.Record)
	}
	if _, _, err := migrate.SetRoot(ctx, r.Master, "relative", opt); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
}
