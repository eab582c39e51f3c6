package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// onDatabase configures a machine's hostler to keep its state in a database.
func (m *machine) onDatabase(dsn string) {
	m.t.Helper()
	m.conf("[store]\nurl = env:HOSTLER_TEST_DATABASE\n")
	m.env = append(m.env, "HOSTLER_TEST_DATABASE="+dsn)
}

// conf writes hostler.conf.
func (m *machine) conf(text string) {
	m.t.Helper()
	path := filepath.Join(m.home, ".config", "hostler", "hostler.conf")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// TestDatabase: commands keep their state in the database of [store], and nothing in the directory.
func TestDatabase(t *testing.T) {
	server := pgtest.Start(t)
	m := newMachine(t)
	m.onDatabase(server.Database(t))
	m.source("web", "type = fake\nmaximum = 2\n")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"web-1\n", []string{"acquire", "-s", "web", "--name", "mine"}}, {"foo\n", []string{"run", "mine", "--", "anything"}},
		{"1\n", []string{"status", "web", "--query", "in-use"}},
	} {
		if out := m.must(c.args...); out != c.want {
			t.Errorf("%v: out = %q; want out == c.want", c.args, out)
		}
	}
	var all sync.WaitGroup
	for range 4 { // a request with a key is one, however many make it at once
		all.Go(func() {
			if out, errs, exit := m.run("acquire", "-s", "web", "--key", "once"); exit != 0 || out != "web-2\n" {
				t.Errorf("acquire with a key: %q, %s, %d", out, errs, exit)
			}
		})
	}
	all.Wait()
	if _, errs, exit := m.run("acquire", "-s", "web", "--key", "once", "--ttl", "1h"); exit != 6 {
		t.Errorf("another request with that key: %s, %d", errs, exit)
	}
	m.must("release", "web-1", "web-2")
	if out := m.must("doctor"); !strings.Contains(out, "PostgreSQL at "+server.Dir()) {
		t.Errorf("doctor does not tell the store: %s", out)
	}
	if out := m.must("config", "show"); !strings.Contains(out, "store: env:HOSTLER_TEST_DATABASE\n") {
		t.Errorf("config show does not tell the store: %s", out)
	}
	if files, _ := filepath.Glob(filepath.Join(m.state(), "state.db*")); len(files) > 0 {
		t.Errorf("there is %v", files)
	}
}

// TestOneRequestElsewhere: a request that comes to two controllers at once has one lease, though
// there is room for no more: whoever is told so later does not wait for its own.
func TestOneRequestElsewhere(t *testing.T) {
	m := newMachine(t)
	m.onDatabase(pgtest.Start(t).Database(t))
	m.source("web", "type = fake\nmaximum = 1\n")
	f := newFleet(t, m, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for i := range 3 {
		key, body := fmt.Sprint("once-", i), `{"source": "web", "wait": 600}`
		var got [4]lease
		var all sync.WaitGroup
		for n := range got {
			all.Go(func() {
				l, _, err := f.all[n%2].acquire(ctx, key, body)
				if got[n] = l; err != nil {
					t.Errorf("request %d: %v", n, err)
				}
			})
		}
		all.Wait()
		for _, l := range got {
			if l.ID == "" || l != got[0] {
				t.Fatalf("one request has %+v", got)
			}
		}
		if status, text, err := f.all[1].ask(ctx, http.MethodDelete, "/v1/leases/"+got[0].ID, "", ""); err != nil || status/100 != 2 {
			t.Fatalf("release: %d %s %v", status, text, err)
		}
	}
}

// TestDatabaseRefused: what is wrong with the database is told, with what to do, and never with a
// password.
func TestDatabaseRefused(t *testing.T) {
	server := pgtest.Start(t)
	m := newMachine(t)
	m.source("web", "type = fake\n")
	good := server.Database(t)
	m.onDatabase(good)
	m.must("status")
	database := strings.TrimPrefix(must(url.Parse(good)).Path, "/")
	newer := server.Database(t)
	env := m.env
	m.env = append(env, "HOSTLER_TEST_DATABASE="+newer)
	m.must("status")
	c := must(pgx.Connect(t.Context(), newer))
	if _, err := c.Exec(t.Context(), "UPDATE meta SET value = '99' WHERE name = 'format'"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, conf, dsn string
		status          int
		words           []string
	}{
		{"no server", "", "postgres://ann:hunter2@/x?host=/nowhere", 1, []string{"/nowhere/x", "see that the PostgreSQL server runs"}},
		{"no such user", "", "postgres://ann:hunter2@/" + database + "?host=" + url.QueryEscape(server.Dir()), 7, []string{"pg_hba.conf"}},
		{"no such database", "", "postgres://test:hunter2@/none?host=" + url.QueryEscape(server.Dir()), 2, []string{"createdb"}},
		{"a newer one's", "", newer, 6, []string{"a newer hostler wrote it", "another database"}},
		{"no address", "", "hunter2", 2, []string{"postgres://USER:PASSWORD@HOST/DATABASE"}},
		{"no variable", "[store]\nurl = env:NO_SUCH_VARIABLE\n", "", 2, []string{"hostler.conf:2", "NO_SUCH_VARIABLE", "env:NAME"}},
		{
			"a password in the file", "[store]\nurl = postgres://ann:hunter2@host/db\n", "", 2,
			[]string{"hostler.conf:2", "does not belong in this file", "env:NAME"},
		},
		{
			"another in the file", "[store]\nurl = host=x dbname=y password=hunter2\n", "", 2,
			[]string{"hostler.conf:2", "does not belong in this file"},
		},
		{"an empty variable", "", "", 2, []string{"hostler.conf:2", "it is empty"}},
		{"nothing", "[store]\nurl =\n", "", 2, []string{"hostler.conf:2", "env:NAME"}},
		{"an unknown key", "[store]\nulr = env:X\n", "", 2, []string{"hostler.conf:2", "ulr", "url"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if m.conf("[store]\nurl = env:HOSTLER_TEST_DATABASE\n"); c.conf != "" {
				m.conf(c.conf)
			}
			m.env = append(env, "HOSTLER_TEST_DATABASE="+c.dsn)
			for _, args := range [][]string{{"status"}, {"acquire", "-s", "web"}, {"serve"}, {"doctor"}, {"config", "show"}} {
				out, errs, exit := m.run(args...)
				if strings.Contains(out+errs, "hunter2") {
					t.Errorf("%v tells the password: %s%s", args, out, errs)
				}
				switch args[0] {
				case "config":
					continue
				case "doctor":
					if exit != 1 || !strings.Contains(out, "fail") {
						t.Errorf(`%v: exit = %d out = %s; want exit == 1 and out with "fail"`, args, exit, out)
					}
					continue
				}
				if exit != c.status {
					t.Errorf("%v: exit status %d: %s", args, exit, errs)
				}
				for _, w := range c.words {
					if !strings.Contains(errs, w) {
						t.Errorf("%v: no word of %q in %s", args, w, errs)
					}
				}
			}
		})
	}
}

// TestOtherStore: a controller does not go on with a configuration that names another store.
func TestOtherStore(t *testing.T) {
	m := newMachine(t)
	f := newFleet(t, m, 1)
	reload := func() (int, string) {
		status, text, err := f.all[0].ask(t.Context(), http.MethodPost, "/v1/reload", "", "")
		if err != nil {
			t.Fatal(err)
		}
		return status, string(text)
	}
	if status, text := reload(); status/100 != 2 {
		t.Fatalf("status = %d text = %s; want status/100 == 2", status, text)
	}
	m.conf("[store]\nurl = env:SOMEWHERE_ELSE\n")
	if status, text := reload(); status != http.StatusConflict || !strings.Contains(text, "start the controller anew") {
		t.Errorf(
			"status = %d text = %s"+
				`; want status == http.StatusConflict and text with "start the controller anew"`,
			status, text,
		)
	}
}
