//go:build linux

package sandbox_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// TestPIDsUsedUp: a sandbox in which a program has all the processes that there may be answers
// still: that there can be no more, with files, and that it is alive; and when that program ends
// all is as before.
func TestPIDsUsedUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("pids: an ordinary user has no control group here")
	}
	for _, pids := range []int{100, 2000} {
		t.Run(strconv.Itoa(pids), func(t *testing.T) { usePIDsUp(t, pids) })
	}
}

func usePIDsUp(t *testing.T, pids int) {
	j := newJail(t, sandbox.Options{PIDs: pids})
	until := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !f(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("not within a minute: " + what)
			}
		}
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := j.conn.Run(ctx, &compute.Command{Args: []string{insideProgram}, Dir: "/", Env: map[string]string{hostileEnv: "hoard"}})
		ended <- err
	}()
	run := func() error {
		_, err := j.conn.Run(t.Context(), &compute.Command{Args: []string{"/bin/true"}})
		return err
	}
	until("no process can be started", func() bool { return run() != nil })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := run(); !errors.Is(err, compute.ErrCannotStart) || !strings.Contains(compute.Hint(err), "pids = ") {
				t.Errorf("run: %v, hint: %s", err, compute.Hint(err))
			}
			var out, archive bytes.Buffer
			if err := j.conn.Get(t.Context(), "/etc/passwd", &out); err != nil || out.Len() == 0 {
				t.Errorf("get: %v", err)
			}
			w := tar.NewWriter(&archive)
			_ = w.WriteHeader(&tar.Header{Name: "put", Mode: 0o644, Size: 1 << 20, Typeflag: tar.TypeReg})
			_, _ = w.Write(make([]byte, 1<<20))
			_ = w.Close()
			if err := j.conn.Put(t.Context(), "/var/tmp", &archive); err != nil {
				t.Errorf("put: %v", err)
			}
		})
	}
	all.Wait()
	if err := j.p.Check(t.Context(), "jail"); err != nil {
		t.Errorf("check: %v", err)
	}
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it did not go on to the end: %v", err)
	}
	until("processes can be started again", func() bool { return run() == nil })
}
