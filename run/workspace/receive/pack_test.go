package receive_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/run/workspace/receive"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// What several computers are sent of one tree is packed once, whoever asks first, and each has all
// of it. A file that is gone by then is still sent.
func TestPackedOnce(t *testing.T) {
	for _, compress := range []bool{false, true} {
		tr := tree{
			"a": "one", "d/b": strings.Repeat("two", 1000),
			"large": string(bytes.Repeat([]byte("0123456789abcdef"), 400_000)), "p": "+x#!/bin/sh\n", "l": "->a",
		}
		list := tr.write(t)
		pack := send.NewPack(filepath.Join(t.TempDir(), "packs"))
		var all sync.WaitGroup
		sent := func() {
			s := open(t, receive.Options{})
			all.Go(func() {
				if res, err := s.try(t, list, send.Options{Pack: pack, Compress: compress}); err != nil {
					t.Error(err)
				} else if res.Files != 4 {
					t.Errorf("%d files sent, want 4", res.Files)
				}
				tr.expect(t, filepath.Join(s.dir, "w"))
			})
		}
		for range 5 {
			sent()
		}
		all.Wait()
		for _, name := range []string{"a", "d/b", "large", "p"} {
			if err := os.Remove(filepath.Join(list.Root, name)); err != nil {
				t.Fatal(err)
			}
		}
		sent()
		all.Wait()
		if n := pack.Made(); n != 2 {
			t.Errorf("packed %d times, want 2: the list and the contents", n)
		}
		pack.Close()
	}
}

// A file that changes while it is packed fails all who wait for it, and is packed anew for who
// tries again.
func TestPackedChanged(t *testing.T) {
	tr := tree{"a": strings.Repeat("one", 1000)}
	list := tr.write(t)
	name := filepath.Join(list.Root, "a")
	pack := send.NewPack(t.TempDir())
	defer pack.Close()
	s := open(t, receive.Options{})
	if err := os.Chtimes(name, time.Time{}, epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(t, list, send.Options{Pack: pack}); !errors.Is(err, send.ErrChanged) || !strings.Contains(err.Error(), name) {
		t.Errorf("a file that has changed: %v", err)
	}
	if err := os.Chtimes(name, time.Time{}, epoch); err != nil {
		t.Fatal(err)
	}
	s.sync(t, list, send.Options{Pack: pack})
	tr.expect(t, filepath.Join(s.dir, "w"))
}
