package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
	"github.com/hostler-project/hostler/store/storetest"
)

func rand() uint64 { return mathrand.Uint64() }

// refused opens what must be refused with a kind and a hint.
func refused(t *testing.T, dsn string, kind error, words string) {
	t.Helper()
	st, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err == nil {
		st.Close()
		t.Fatal("it was opened")
	}
	if !errors.Is(err, kind) || compute.Hint(err) == "" || !strings.Contains(err.Error()+"; "+compute.Hint(err), words) {
		t.Errorf("%v; hint %q: want %v and %q", err, compute.Hint(err), kind, words)
	}
}

// TestFirstTogether: of many who find no tables one makes them, and all have the same installation.
func TestFirstTogether(t *testing.T) {
	dsn := place(t)
	var mu sync.Mutex
	seen, workers := map[string]int{}, map[int64]bool{}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			st, err := postgres.Open(t.Context(), dsn, postgres.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer st.Close()
			if err := write(st, fmt.Sprint(n)); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[st.Installation()]++
			workers[st.Worker()] = true
		})
	}
	wg.Wait()
	if len(seen) != 1 || len(workers) != 8 {
		t.Errorf("installations %v, workers %v", seen, workers)
	}
	if n := len(kinds(t, mustOpen(t, dsn, postgres.Options{}))); n != 8 {
		t.Errorf("%d events of 8", n)
	}
}

// TestNewer: what a newer hostler wrote is refused and not touched.
func TestNewer(t *testing.T) {
	dsn := place(t)
	mustWrite(t, mustOpen(t, dsn, postgres.Options{}), "k")
	sql(t, dsn, "UPDATE meta SET value = '99' WHERE name = 'format'")
	refused(t, dsn, compute.ErrConflict, "a newer hostler wrote it: it has format 99")
}

func sql(t testing.TB, dsn, q string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

// TestRefused: what cannot be used is told in plain words, and no password with it.
func TestRefused(t *testing.T) {
	dsn := place(t)
	dir := server.Dir()
	for _, q := range []string{
		"CREATE ROLE guest LOGIN PASSWORD 'hunter2'",
		"CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'",
	} {
		if err := server.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	name := strings.TrimPrefix(must(url.Parse(dsn)).Path, "/")
	const secret = "s3cr3t/p@ss wörd%"
	with := func(user, db string) string {
		return "postgres://" + user + ":" + url.QueryEscape(secret) + "@/" + db + "?host=" + url.QueryEscape(dir)
	}
	for _, c := range []struct {
		what, dsn string
		kind      error
		words     string
	}{
		{"no such database", with("test", "nowhere"), compute.ErrInvalid, "createdb"},
		{"no such role", with("nobody-here", name), compute.ErrDenied, "pg_hba.conf"},
		{"no rights", with("guest", name), compute.ErrDenied, "must own the tables"},
		{"another encoding", with("test", "latin"), compute.ErrInvalid, "ENCODING 'UTF8'"},
		{
			"no server", "postgres://test:" + url.QueryEscape(secret) + "@127.0.0.1:1/x", compute.ErrUnavailable,
			"see that the PostgreSQL server runs",
		},
		{
			"no such host", "postgres://test:" + url.QueryEscape(secret) + "@/x?host=/nowhere", compute.ErrUnavailable,
			"see that the PostgreSQL server runs",
		},
		{"nonsense", "postgres://test:" + secret + "@[::/x", compute.ErrInvalid, "postgres://"},
		{"more nonsense", "host=/nowhere password='" + secret + " user", compute.ErrInvalid, "postgres://"},
		{"not an address", "mysql://test:" + secret + "@host/db", compute.ErrInvalid, "postgres://"},
	} {
		t.Run(c.what, func(t *testing.T) {
			refused(t, c.dsn, c.kind, c.words)
			_, err := postgres.Open(t.Context(), c.dsn, postgres.Options{})
			text := fmt.Sprintf("%v %+v %#v %s", err, err, err, compute.Hint(err))
			for _, part := range []string{secret, url.QueryEscape(secret), "s3cr3t"} {
				if strings.Contains(text, part) {
					t.Errorf("the password is told: %s", text)
				}
			}
		})
	}
}

// TestWrongPassword: a server that asks for the password and refuses it does not make us tell it.
func TestWrongPassword(t *testing.T) {
	pgtest.Need(t, errServer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// It says back what it heard, as a careless server would.
			buf := make([]byte, 4096)
			if n, _ := c.Read(buf); n == 8 { // asks for TLS
				c.Write([]byte("N"))
				c.Read(buf)
			}
			c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}) // the password, in the clear
			n, _ := io.ReadAtLeast(c, buf, 6)
			said := strings.TrimRight(string(buf[5:max(5, n)]), "\x00")
			text := "SFATAL\x00C28P01\x00Mpassword " + said + " is wrong\x00\x00"
			c.Write(append([]byte{'E', 0, 0, 0, byte(len(text) + 4)}, text...))
			c.Close()
		}
	}()
	dsn := "postgres://ann:s3cr3t@" + l.Addr().String() + "/x?sslmode=disable"
	refused(t, dsn, compute.ErrDenied, "password ****** is wrong")
	_, err = postgres.Open(t.Context(), dsn, postgres.Options{})
	if strings.Contains(err.Error(), "s3cr3t") {
		t.Error(err)
	}
}

// TestPooler: sessions that are not the server's own are refused. What a pooler tells of itself is
// another process's number than the server's.
func TestPooler(t *testing.T) {
	dsn := place(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go pool(l, server.Dir()+"/.s.PGSQL.5432")
	u := must(url.Parse(dsn))
	refused(t, "postgres://test@"+l.Addr().String()+u.Path+"?sslmode=disable", compute.ErrInvalid, "pooler")
}

// pool passes connections on, but for the server's process number.
func pool(l net.Listener, socket string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("unix", socket)
		if err != nil {
			c.Close()
			return
		}
		go func() {
			io.Copy(s, c)
			s.Close()
		}()
		go func() {
			defer c.Close()
			buf := make([]byte, 64<<10)
			for {
				n, err := s.Read(buf)
				if at := strings.Index(string(buf[:n]), "K\x00\x00\x00\x0c"); at >= 0 && at+9 <= n {
					copy(buf[at+5:at+9], []byte{0, 0, 0, 77})
				}
				if _, e := c.Write(buf[:n]); err != nil || e != nil {
					return
				}
			}
		}()
	}
}

// TestTwoInstallations: two in one database, in schemas of their own, have nothing to do with each
// other.
func TestTwoInstallations(t *testing.T) {
	dsn := place(t)
	var sts []*postgres.Store
	for _, schema := range []string{"one", "two"} {
		sql(t, dsn, "CREATE SCHEMA "+schema)
		st := mustOpen(t, dsn+"&search_path="+schema, postgres.Options{Grace: -1})
		mustWrite(t, st, schema)
		sts = append(sts, st)
		if _, ok, err := st.Slot(1, 1); !ok || err != nil {
			t.Errorf("%s: ok = %v err = %v; want ok and no error", schema, ok, err)
		}
	}
	if sts[0].Installation() == sts[1].Installation() {
		t.Error("they are one")
	}
	for n, st := range sts {
		if got := fmt.Sprint(kinds(t, st)); got != fmt.Sprintf("[%s]", []string{"one", "two"}[n]) {
			t.Errorf("events: %s", got)
		}
		if !st.Alive(st.Worker()) {
			t.Error("dead")
		}
	}
}

// TestLongNames: a name that no index can hold is refused, and what does not fit PostgreSQL's text
// is kept.
func TestLongNames(t *testing.T) {
	st := mustOpen(t, place(t), postgres.Options{})
	var b strings.Builder
	for b.Len() < 20_000 {
		fmt.Fprint(&b, rand())
	}
	err := st.Update(t.Context(), func(tx store.Tx) error {
		return tx.InsertLease(&compute.Lease{ID: "l", Instance: compute.ID(b.String())})
	})
	if !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a name of 20,000: %v", err)
	}
	for n, text := range []string{"\xff\xfe", "a\x00b", "\x01hex:00", "\x01hex:", "\x01"} {
		l := &compute.Lease{ID: fmt.Sprint(n), Name: text, Instance: compute.ID(text), Owner: text}
		if err := st.Update(t.Context(), func(tx store.Tx) error { return tx.InsertLease(l) }); err != nil {
			t.Fatalf("%q: err = %v; want no error", text, err)
		}
		err := st.View(t.Context(), func(tx store.Tx) error {
			got, err := tx.LeaseOf(compute.ID(text))
			if err == nil && (got.Name != text || got.Owner != text || string(got.Instance) != text) {
				t.Errorf("%q came back as %q", text, got.Name)
			}
			return err
		})
		if err != nil {
			t.Errorf("%q: err = %v; want no error", text, err)
		}
	}
}

// undone are the statements that take back all migrations but the first, the last first.
func undone(t testing.TB) (out []string) {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) < 2 {
		t.Fatalf("files = %v, err = %v; want no error and len(files) >= 2", files, err)
	}
	slices.Sort(files)
	for _, f := range slices.Backward(files[1:]) {
		_, down, _ := strings.Cut(string(must(os.ReadFile(f))), "-- +goose Down\n")
		for q := range strings.SplitSeq(down, ";\n") {
			if strings.TrimSpace(q) != "" {
				out = append(out, q)
			}
		}
	}
	return out
}

// TestOlder: a database of the first format is brought up to date, and keeps what is in it.
func TestOlder(t *testing.T) {
	dsn := place(t)
	st := mustOpen(t, dsn, postgres.Options{})
	mustWrite(t, st, "old")
	err := st.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(tx.InsertLease(&compute.Lease{ID: "l", Instance: "web-1"}), tx.Join(&inventory.Waiter{Source: "web", Count: 2}))
	})
	if err != nil {
		t.Fatal(err)
	}
	installation := st.Installation()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for _, q := range append(
		undone(t), "UPDATE meta SET value = '1' WHERE name = 'format'",
		"DELETE FROM goose_db_version WHERE version_id > 1",
	) {
		sql(t, dsn, q)
	}
	for _, c := range storetest.OldSources {
		sql(t, dsn, fmt.Sprintf("WITH s AS (INSERT INTO sources (name, digest, type, place, failures, paused, last_error) "+
			"VALUES ('%s', 'd', '', '', %d, 5, '%s') RETURNING key) INSERT INTO counts (key) SELECT key FROM s",
			c.Name, c.Failures, c.LastError))
	}
	for n, c := range storetest.OldInstances {
		sql(t, dsn, fmt.Sprintf("INSERT INTO instances (row, id, source, source_key, state, since, generation, uses, worker, basis, "+
			"ready_at, child, detail, created) SELECT %d, '%s', 'broken', key, '%s', 1, 1, 0, 0, 0, 0, '', '%s', 1 FROM sources WHERE name = 'broken'",
			900+n, c.ID, c.State, c.Detail))
	}
	for n, c := range storetest.OldLeases {
		sql(t, dsn, fmt.Sprintf("INSERT INTO leases (row, id, name, instance, owner, generation, given, used, expires, deadline, ended, "+
			"why, pid, worker, detail) VALUES (%d, '%s', '', 'gone', 'ann', 1, 1, 1, 0, 0, 2, '%s', 0, 0, '{\"source\":\"broken\"}')",
			900+n, c.ID, c.Why))
	}
	sql(t, dsn, "UPDATE turn SET instance = 999, lease = 999")
	st = mustOpen(t, dsn, postgres.Options{})
	if got := kinds(t, st); len(got) != 1 || st.Installation() != installation {
		t.Errorf("%v of %s", got, st.Installation())
	}
	err = st.Update(t.Context(), func(tx store.Tx) error {
		if l, err := tx.Lease("l"); err != nil || l.Project != "" || l.Instance != "web-1" {
			t.Errorf("lease %+v %v", l, err)
		}
		if ws, err := tx.Waiters(); err != nil || len(ws) != 1 || ws[0].Count != 2 || ws[0].Project != "" || ws[0].Priority != 0 {
			t.Errorf("queue %v %v", ws, err)
		}
		storetest.Typed(t, tx)
		return tx.SaveAnswer(&store.Answer{Owner: "ann", Key: "k"})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSchema: a new database has the format that the last step of the migrations makes; else an
// older one would not be brought up to date.
func TestSchema(t *testing.T) {
	dsn := place(t)
	if err := mustOpen(t, dsn, postgres.Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	steps, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	sql(t, dsn, fmt.Sprintf("DO $$ BEGIN ASSERT (SELECT value FROM meta WHERE name = 'format') = '%d'; END $$", len(steps)))
}
