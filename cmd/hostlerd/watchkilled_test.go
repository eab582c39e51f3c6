package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/host/socket"
)

// TestWatchKilled makes sure that a watcher gets every event of the journal once and in order,
// while the controller is killed again and again and others work.
func TestWatchKilled(t *testing.T) {
	m := newMachine(t)
	m.source("web", "type = fake\nspare = 1\nmaximum = 6\n")
	dir, env := m.dir, m.env
	socket := filepath.Join(dir, "run", "hostler", socket.SocketName)
	c, err := client.New(client.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	program := lookIn(plainPath(t), "hostler")
	begin := func() *exec.Cmd {
		cmd := exec.Command(program, "serve")
		cmd.Env, cmd.Dir = env, dir
		var said errorText
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if _, err := c.Self(t.Context()); err == nil {
				return cmd
			} else if time.Now().After(limit) {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				t.Fatalf("no controller: %v\n%s", err, &said)
			}
		}
	}
	cmd := begin()
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const watchers = 8
	var all, work sync.WaitGroup
	var mu sync.Mutex
	seen := make([][]compute.Event, watchers)
	for n := range watchers {
		all.Go(func() {
			err := c.Watch(ctx, inventory.EventQuery{}, func(e compute.Event) error {
				mu.Lock()
				defer mu.Unlock()
				seen[n] = append(seen[n], e)
				return nil
			})
			if ctx.Err() == nil {
				t.Errorf("watcher %d: %v", n, err)
			}
		})
	}
	busy, rest := context.WithCancel(ctx)
	for range 3 {
		work.Go(func() {
			for busy.Err() == nil {
				ls, err := c.Acquire(busy, compute.Request{Source: "web", Count: 1, Wait: time.Minute, TTL: time.Minute})
				if err != nil {
					if busy.Err() == nil && !errors.Is(err, compute.ErrUnavailable) {
						t.Errorf("acquire: %v", err)
					}
					time.Sleep(20 * time.Millisecond)
					continue
				}
				for _, l := range ls {
					// or its time ends
					_ = c.Release(ctx, compute.Who{Lease: l.ID}, compute.ReleaseOptions{}, l.Instance)
				}
			}
		})
	}
	for range 10 {
		time.Sleep(150 * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		cmd = begin()
	}
	rest()
	work.Wait()
	// Until nothing happens any more.
	var journal []compute.Event
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(300 * time.Millisecond) {
		now, err := c.Events(t.Context(), inventory.EventQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if len(now) > 0 && len(now) == len(journal) {
			break
		}
		journal = now
	}
	last := journal[len(journal)-1].ID
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		done := true
		for _, s := range seen {
			done = done && len(s) > 0 && s[len(s)-1].ID >= last
		}
		mu.Unlock()
		if done {
			break
		}
	}
	cancel()
	all.Wait()
	for n, s := range seen {
		at := 0
		for _, e := range s {
			if at < len(journal) && e.ID == journal[at].ID {
				at++
			} else if at < len(journal) {
				t.Fatalf("watcher %d: event %d where %d is next", n, e.ID, journal[at].ID)
			}
		}
		if at != len(journal) {
			t.Errorf("watcher %d has %d of %d events", n, at, len(journal))
		}
	}
	t.Logf("%d events, 10 kills, %d watchers", len(journal), watchers)
}
