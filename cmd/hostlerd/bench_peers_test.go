package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/host/socket"
)

// peerRow is a row of bench-peers' table.
type peerRow struct {
	Name    string        `json:"name"`
	N       int           `json:"n"`
	Workers int           `json:"workers"`
	P50     time.Duration `json:"p50_ns"`
	PerSec  float64       `json:"ops_per_s"`
}

type rowKey struct {
	name       string
	n, workers int
}

// peers builds bench-peers and returns a function that runs suites of it.
func peers(b *testing.B) func(args ...string) map[rowKey]peerRow {
	b.Helper()
	source := filepath.Join(computetest.Shared(), "bench-peers")
	if _, err := os.Stat(source); err != nil {
		b.Skip("bench-peers: not here")
	}
	program, dir := filepath.Join(b.TempDir(), "benchpeers"), b.TempDir()
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		b.Skipf("bench-peers does not build: %v: %s", err, out)
	}
	return func(args ...string) map[rowKey]peerRow {
		b.Helper()
		cmd := exec.Command(program, append([]string{"-json", "-dir", dir}, args...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			b.Fatalf("bench-peers %v: %v\n%s", args, err, out)
		}
		rows := map[rowKey]peerRow{}
		for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
			var r peerRow
			if err := dec.Decode(&r); err != nil {
				b.Fatalf("bench-peers %v: %v\n%s", args, err, out)
			}
			rows[rowKey{r.Name, r.N, r.Workers}] = r
		}
		return rows
	}
}

// servedPool starts a controller with n ready instances that need no cleaning, and returns its
// process and its socket.
func servedPool(b testing.TB, hostler string, n int, more string) (m *machine, cmd *exec.Cmd, path string) {
	b.Helper()
	m = newMachine(b)
	m.program = hostler
	m.source("p", fmt.Sprintf("type = fake\nreserve = %d\nreuse = as-is\n%s[fake]\nstate = memory\n", n, more))
	// to wait for
	m.source("one", "type = fake\nmaximum = 1\nreuse = as-is\n[fake]\nstate = memory\n")
	cmd = m.serving(b)
	for _, v := range m.env {
		if run, ok := strings.CutPrefix(v, "XDG_RUNTIME_DIR="); ok {
			path = filepath.Join(run, "hostler", socket.SocketName)
		}
	}
	answering(b, path)
	if out, err := m.command("fill", "p").CombinedOutput(); err != nil {
		b.Fatalf("fill: %v: %s", err, out)
	}
	return m, cmd, path
}

// serving starts a controller, which ends with the test.
func (m *machine) serving(b testing.TB) *exec.Cmd {
	b.Helper()
	cmd := m.command("serve")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // one that was killed has been waited for
	})
	return cmd
}

// answering waits until a controller answers, and returns how long that took.
func answering(b testing.TB, socket string) time.Duration {
	b.Helper()
	begun := time.Now()
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for {
		if _, err = c.Self(context.Background()); err == nil {
			return time.Since(begun)
		}
		if time.Since(begun) > time.Minute {
			b.Fatalf("no controller: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// BenchmarkPeers measures taking and giving back through the controller with the harness that
// measures our peers, in one run of it. The state is on the disk before any answer (SQLite, WAL,
// synchronous FULL), as in the rows of `whole`; Boskos keeps nothing on a disk.
func BenchmarkPeers(b *testing.B) {
	run := peers(b)
	hostler, _ := built(b)
	p50 := map[int]time.Duration{}
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, _, socket := servedPool(b, hostler, n, "")
			doc := fmt.Sprintf(`{"name": "hostler", "unix": %q, "n": %d, "acquire": {"method": "POST", "url": "http://x/v1/leases", "body": "{\"source\":\"p\",\"purpose\":\"w{worker}\"}"},
 "id": "id", "release": {"method": "DELETE", "url": "http://x/v1/leases/{id}"}, "parallel": [1, 8, 64]}`, socket, n)
			file := filepath.Join(b.TempDir(), "target.json")
			if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
				b.Fatal(err)
			}
			if n != 10_000 {
				rows := run("-only", "^target$", "-target", file, "-count", "3", "-per", "1s")
				p50[n] = rows[rowKey{"hostler: acquire and release", n, 1}].P50
				return
			}
			rows := run("-only", "^(whole|boskos|target)$", "-target", file, "-count", "3", "-per", "1s", "-full")
			const pair, floor = "hostler: acquire and release", "whole: HTTP + SQLite FULL: acquire and release"
			one, bare := rows[rowKey{pair, n, 1}], rows[rowKey{floor, n, 1}]
			p50[n] = one.P50
			fmt.Println()
			row(b, "one caller, p50 / HTTP and SQLite alone", float64(one.P50)/float64(bare.P50), "x", "<= 1.5")
			for _, callers := range []int{8, 64} {
				row(b, fmt.Sprintf("%d callers, calls a second / HTTP and SQLite alone", callers),
					rows[rowKey{pair, n, callers}].PerSec/rows[rowKey{floor, n, callers}].PerSec, "x", ">= 0.6")
			}
			ours := rows[rowKey{"hostler: acquire", n, 8}].PerSec
			for size, least := range map[int]string{100: ">= 3", 1000: ">= 20", 10_000: ">= 200"} {
				theirs := rows[rowKey{"boskos HTTP acquire: its in-memory mode", size, 8}]
				if theirs.PerSec == 0 {
					b.Errorf("no row of Boskos with %d resources", size)
					continue
				}
				row(b, fmt.Sprintf("acquire, 8 callers / Boskos with %d resources", size), ours/theirs.PerSec, "x", least)
			}
		})
	}
	if p50[100] > 0 && p50[100_000] > 0 {
		row(b, "one caller with 100,000 instances / with 100", float64(p50[100_000])/float64(p50[100]), "x", "<= 1.3")
	}
}
