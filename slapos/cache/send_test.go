package cache_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// An upload that fails is tried three times, with what was packed, and ends in a pause too when it
// is given up.
func TestSendAgain(t *testing.T) {
	key, signers := signer(t)
	kept := cache.Handler(cache.ServeOptions{Content: t.TempDir(), Metadata: t.TempDir()})
	var failures, asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			asked.Add(1)
			if failures.Add(-1) >= 0 {
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			}
		}
		kept.ServeHTTP(w, r)
	}))
	defer s.Close()
	store, err := cache.OpenStore(cache.Options{URL: s.URL + "/cache"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	said := make(chan string, 10)
	up := &cache.Releases{
		Here: here, EntriesTo: open(t, cache.Options{URL: s.URL + "/dir", Signers: signers}), ContentTo: store, Key: key,
		Pause: time.Millisecond, Log: func(line string) { said <- line },
	}
	root := t.TempDir()
	dir := built(t, root)
	for n, want := range map[int64]error{2: nil, 3: client.ErrRefused} {
		failures.Store(n)
		asked.Store(0)
		release := release + string(rune('0'+n)) // else the content is there
		p, err := up.Pack(t.Context(), release, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Send(t.Context()); !errors.Is(err, want) || asked.Load() != 3 {
			t.Errorf("%d failures: %v after %d", n, err, asked.Load())
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	for len(said) > 0 {
		<-said
	}
	up.Pause = time.Hour
	failures.Store(1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-said // it waits now
		cancel()
	}()
	if err := up.Upload(ctx, release, dir); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 1 {
		t.Errorf("%v is there, %v", left, err)
	}
}
