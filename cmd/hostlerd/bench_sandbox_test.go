//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/guard"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/store/sqlite"
)

// durablePair is the least that a durable hand-out and return cost: two transactions on a bare
// store, each changing one indexed row.
func durablePair(b *testing.B) func() error {
	b.Helper()
	db, err := sql.Open(
		"sqlite",
		"file:"+filepath.Join(b.TempDir(), "floor.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)",
	)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		"CREATE TABLE inst (id INTEGER PRIMARY KEY, pool TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '')",
		"CREATE INDEX ready ON inst (pool, id) WHERE state = 'ready'",
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100) INSERT INTO inst (id, pool, state) SELECT x, 'p', 'ready' FROM c",
	} {
		if _, err := db.Exec(q); err != nil {
			b.Fatal(err)
		}
	}
	take, err := db.Prepare(
		"UPDATE inst SET state = 'leased', owner = ? WHERE id = (SELECT id FROM inst WHERE pool = 'p' AND state = 'ready' ORDER BY id LIMIT 1) RETURNING id",
	)
	if err != nil {
		b.Fatal(err)
	}
	give, err := db.Prepare("UPDATE inst SET state = 'ready', owner = '' WHERE id = ?")
	if err != nil {
		b.Fatal(err)
	}
	return func() error {
		var id int64
		if err := take.QueryRow("ann").Scan(&id); err != nil {
			return err
		}
		_, err := give.Exec(id)
		return err
	}
}

// warmEngine is an engine with n sandboxes ready, none of which is cleaned while it is measured:
// that is for whoever comes behind.
func warmEngine(b *testing.B, program string, n int) *pool.Pool {
	b.Helper()
	dir := b.TempDir()
	log := slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(b.Context(), filepath.Join(dir, "state.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	p, err := sandbox.Open(b.Context(), log, sandbox.Options{
		Source: "box", Installation: store.Installation(), Dir: filepath.Join(dir, "computers"), Network: "none", Home: os.Getenv("HOME"),
		Agent: func(string) (agent.Program, error) { return agent.Program{Path: program}, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	engine, err := pool.New(pool.Options{
		Store: store, NewID: host.NewID, Log: log, Sources: []pool.Source{{Name: "box", Type: "sandbox", Digest: "d", Reserve: n}},
		Open: func(context.Context, string, string, []byte) (compute.Provider, error) {
			return guard.New(p, guard.Options{Source: "box", Log: log}), nil
		},
		Later: func(string, string) bool { return true },
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := engine.Fill(b.Context(), "box"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		all, _ := p.List(context.Background())
		for _, i := range all {
			_ = p.Destroy(context.Background(), i.ID)
		}
	})
	return engine
}

// BenchmarkSandbox measures what the user of a warm sandbox waits for: in one process with the
// engine, and as command lines.
func BenchmarkSandbox(b *testing.B) {
	const rounds = 60
	hostler, bare := built(b)
	program := filepath.Join(b.TempDir(), "hostler-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "../hostler-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: out = %s; want no error", err, out)
	}
	engine := warmEngine(b, program, rounds+5)
	ctx := b.Context()
	pair := durablePair(b)
	floor := &timed{name: "two durable transactions and fork and exec", run: func() error {
		if err := pair(); err != nil {
			return err
		}
		return exec.Command("/bin/true").Run()
	}}
	warm := &timed{name: "acquire, run true, release", run: func() error {
		leases, err := engine.Acquire(ctx, compute.Request{Source: "box", Count: 1, Owner: "ann"})
		if err != nil {
			return err
		}
		who := compute.Who{Owner: "ann", Lease: leases[0].ID}
		conn, err := engine.Connect(ctx, who, leases[0].Instance)
		if err != nil {
			return err
		}
		exit, err := conn.Run(ctx, &compute.Command{Args: []string{"/bin/true"}})
		if err == nil && exit.Status() != 0 {
			err = fmt.Errorf("ended with %d", exit.Status())
		}
		_ = conn.Close()
		if err != nil {
			return err
		}
		return engine.Release(ctx, who, compute.ReleaseOptions{}, leases[0].Instance)
	}}
	m := newMachine(b)
	m.source("box", "type = sandbox\nreserve = 4\n\n[sandbox]\nnetwork = none\n")
	fill := m.process("hostler fill box", hostler, "fill", "box")
	line := m.process("a Go program that prints a line", bare)
	version := m.process("hostler version", hostler, "version")
	run := m.process("hostler run box -- true", hostler, "run", "box", "--cwd", "/", "--", "true")
	once := m.process("hostler run sandbox -- true, none warm", hostler, "run", "once", "--cwd", "/", "--", "true")
	m.source("once", "type = sandbox\n\n[sandbox]\nnetwork = none\n")
	b.ResetTimer()
	inTurn(b, rounds, floor, warm)
	inTurn(b, 31, fill, line, version, run, once)
	fmt.Printf("\nmedians: floor %.2f ms, in process %.2f ms; a line %.2f ms, version %.2f ms, run %.2f ms, run with none warm %.2f ms\n",
		ms(floor.median()), ms(warm.median()), ms(line.median()), ms(version.median()), ms(run.median()), ms(once.median()))
	row(b, "warm sandbox: acquire, run, release / the floor", ms(warm.median())/ms(floor.median()), "x", "<= 1.5")
	row(b, "hostler run sandbox -- true, warm / hostler version", ms(run.median())/ms(version.median()), "x", "<= 3")
}
