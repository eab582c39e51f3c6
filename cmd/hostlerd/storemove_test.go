package main

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/cli/servercmd"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestStoreMove: what was in the file goes on in the database, and nobody goes on with the file.
func TestStoreMove(t *testing.T) {
	server := pgtest.Start(t)
	m := newMachine(t)
	m.source("web", "type = fake\nreserve = 1\nspare = 1\n")
	m.must("acquire", "-s", "web", "--name", "mine", "--label", "of=a")
	m.must("acquire", "-s", "web")
	m.must("fill", "web")
	m.must("discard", "web-2", "--force")
	m.must("hold", "web-3")
	token := store.Token{ID: "t1", Hash: store.TokenHash{1}, From: "a\x00b", Data: []byte(`{"name":"ci"}`)}
	tokens := func(st pool.Store, save bool) (all []*store.Token) {
		t.Helper()
		err := st.Update(t.Context(), func(tx store.Tx) (err error) {
			if save {
				err = tx.SaveToken(&token)
			}
			return errors.Join(err, func() (err error) { all, err = tx.Tokens(); return err }())
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	file := must(sqlite.Open(t.Context(), filepath.Join(m.state(), "state.db"), sqlite.Options{}))
	tokens(file, true)
	far := &store.SourceRecord{
		Name: "far", Digest: "d", Type: "fake", Unreachable: time.Unix(1, 2), Target: inventory.Target{Reserve: 3,
			Spare: 4, Until: time.Unix(9, 0)},
		Backoff: inventory.Backoff{Failures: 5, Full: 6, Paused: time.Unix(7, 8), LastError: "no route"},
	}
	farOf := func(st pool.Store) (out *store.SourceRecord) {
		t.Helper()
		err := st.Update(t.Context(), func(tx store.Tx) (err error) {
			if far.Key == 0 {
				return tx.SaveSource(far)
			}
			out, err = tx.Source("far", "d")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	farOf(file)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	was := m.must("status", "--json")
	m.must("keeper", "stop")
	refused := func(status int, words ...string) {
		t.Helper()
		out, errs, exit := m.run("store", "move")
		for _, w := range words {
			if !strings.Contains(errs, w) {
				t.Errorf("no word of %q: %s", w, errs)
			}
		}
		if exit != status || out != "" {
			t.Errorf(`exit = %d, out = %q, errs = %s; want exit == status and out == ""`, exit, out, errs)
		}
	}
	refused(2, "[store]")
	plain := m.env
	full := server.Database(t)
	m.onDatabase(full)
	m.must("acquire", "-s", "web")
	m.must("keeper", "stop")
	refused(6, "records already", "createdb")
	m.env = plain
	dsn := server.Database(t)
	m.onDatabase(dsn)
	m.must("status") // leaves its sources there, which are nobody's loss
	m.must("keeper", "stop")
	var moved servercmd.StoreMoveView
	if err := json.Unmarshal([]byte(m.must("store", "move", "--json")), &moved); err != nil {
		t.Fatal(err)
	}
	if moved.Records["leases"] != 2 || moved.Records["instances"] == 0 || moved.Records["events"] == 0 ||
		moved.Records["tokens"] != 1 || !strings.Contains(moved.To, server.Dir()) {
		t.Errorf("moved = %+v", moved)
	}
	strip := func(text string) any {
		var v struct{ Instances, Sources any }
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return must(json.Marshal(v))
	}
	if now := m.must("status", "--json"); string(strip(now).([]byte)) != string(strip(was).([]byte)) {
		t.Errorf("was\n%s\nis\n%s", was, now)
	}
	database := must(postgres.Open(t.Context(), dsn, postgres.Options{}))
	if all := tokens(database, false); len(all) != 1 || !reflect.DeepEqual(*all[0], token) {
		t.Errorf("tokens: %+v", all)
	}
	if got := farOf(database); !reflect.DeepEqual(got, far) {
		t.Errorf("a source's record: got %+v, want %+v", got, far)
	}
	if err := database.Close(); err != nil {
		t.Fatal(err)
	}
	if out := m.must("acquire", "-s", "web"); out != "web-4\n" {
		t.Errorf("a name was given again: %s", out)
	}
	m.must("release", "mine")
	m.must("keeper", "stop")
	if out := m.must("store", "move"); out != "" {
		t.Errorf("moved again: %s", out)
	}
	m.must("status")
	m.env = plain
	m.conf("")
	if _, errs, exit := m.run("status"); exit != 6 || !strings.Contains(errs, "moved to PostgreSQL at ") ||
		!strings.Contains(errs, "[store] url") {
		t.Errorf("the file is used: %d %s", exit, errs)
	}
}
