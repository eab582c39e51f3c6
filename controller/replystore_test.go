package controller

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestAnswersDropped remembers answers for a day, and those that tell of a lease that lives for
// longer; a turn is one process's, and then another's.
func TestAnswersDropped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	st := must(sqlite.Open(t.Context(), path, sqlite.Options{}))
	defer st.Close()
	old := time.Now().Add(-30 * time.Hour)
	err := st.Update(t.Context(), func(tx store.Tx) error {
		src := &store.SourceRecord{Name: "web", Digest: "d"}
		err := tx.SaveSource(src)
		for _, key := range []string{"lives &", "ended"} {
			err = errors.Join(err, tx.SaveAnswer(&store.Answer{Owner: "ann", Key: key, Time: old, Body: []byte{}}))
		}
		return errors.Join(err, tx.SaveInstance(&compute.Instance{
			ID: "web-1", Source: "web", SourceKey: src.Key, Created: old, State: compute.Leased,
		}),
			tx.InsertLease(&compute.Lease{
				ID: host.NewID(), Instance: "web-1", Source: "web", Owner: "ann", Given: old, Used: old,
				Labels: map[string]string{api.KeyLabel: "mark digest lives+%26"},
			}))
	})
	if err != nil {
		t.Fatal(err)
	}
	k := NewReplyStore(st, slog.New(slog.NewTextHandler(t.Output(), nil)))
	k.Drop(t.Context(), repliesKept)
	if a, err := k.Answer(t.Context(), "ann", "lives &"); err != nil || time.Since(a.Time) > time.Hour {
		t.Errorf("the answer that tells of a lease that lives: %+v, %v", a, err)
	}
	if _, err := k.Answer(t.Context(), "ann", "ended"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("the other: %v", err)
	}

	other := must(sqlite.Open(t.Context(), path, sqlite.Options{}))
	defer other.Close()
	end := must(localReplies{k}.Turn(t.Context(), "mark"))
	got := make(chan func(), 1)
	go func() {
		end, err := localReplies{NewReplyStore(other, k.log)}.Turn(t.Context(), "mark")
		if err != nil {
			t.Error(err)
			end = func() {}
		}
		got <- end
	}()
	must(localReplies{NewReplyStore(other, k.log)}.Turn(t.Context(), "another"))()
	select {
	case <-got:
		t.Error("two had the turn")
	default:
	}
	end()
	(<-got)()
}

// must returns v, and panics where there is an error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
