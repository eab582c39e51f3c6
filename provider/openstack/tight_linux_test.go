package openstack_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store/sqlite"
)

// alone waits until no other test on this machine is in the lab's small project, and keeps them out
// until the test's end.
func alone(t *testing.T) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(os.TempDir(), "hostler-openstack-tight.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			t.Fatalf("the small project's lock, %s: %v", file.Name(), err)
		}
	}
}

// TestQuotaFreedByOthers has others use up a small project's quota. Who waits for a server is told
// which quota is short, goes on waiting, and has one once the others have given theirs back, though
// nobody tells us of that.
func TestQuotaFreedByOthers(t *testing.T) {
	o := options(t)
	o.Cloud = "tight"
	alone(t)
	s := session(t, "tight")
	theirs := o
	theirs.Source, theirs.Installation, theirs.Dir = "tight"+random(), "other-"+random(), t.TempDir()
	others := openAt(t, theirs)
	ids := []compute.ID{compute.ID(theirs.Source + "-1"), compute.ID(theirs.Source + "-2")}
	for _, id := range ids {
		create(t, others, compute.Spec{ID: id})
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	st, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	o.Installation = st.Installation()
	p := openAt(t, o)
	engine, err := pool.New(pool.Options{
		Store: st, Sources: []pool.Source{{Name: o.Source, Type: "openstack", Digest: "d"}}, NewID: uuid.NewString,
		Open: func(context.Context, string, string, []byte) (compute.Provider, error) { return p, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroy(t, p, compute.ID(o.Source+"-1")) }) // of a test that failed
	got := make(chan error, 1)
	var leases []compute.Lease
	go func() {
		var err error
		leases, err = engine.Acquire(ctx, compute.Request{Source: o.Source, Owner: "ann", Count: 1, Wait: 8 * time.Minute})
		got <- err
	}()
	for told := ""; !strings.Contains(strings.ToLower(told), "quota"); time.Sleep(200 * time.Millisecond) {
		select {
		case err := <-got:
			t.Fatalf("while there is no quota: %v, %v", leases, err)
		default:
		}
		all, err := engine.Status(ctx)
		if err != nil || len(all) != 1 {
			t.Fatalf("all = %v, err = %v; want no error and len(all) == 1", all, err)
		}
		if told != all[0].LastError {
			t.Logf("the source is told to have trouble: %s", all[0].LastError)
		}
		told = all[0].LastError
	}
	destroy(t, others, ids[0])
	if err := <-got; err != nil {
		t.Fatalf("when others have freed some: %v", err)
	}
	if all, err := others.List(ctx); err != nil || len(all) != 1 {
		t.Errorf("the others have %+v, %v", all, err)
	}
	id := leases[0].Instance
	if err := engine.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{Discard: true}, id); err != nil {
		t.Error(err)
	}
	destroy(t, p, id)
	destroy(t, others, ids[1])
	for _, source := range []string{o.Source, theirs.Source} {
		if rest := left(t, s, source); len(rest) > 0 {
			t.Errorf("left behind: %q", rest)
		}
	}
}
