package agent_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// talker is a computer whose commands write as much as is taken from them.
type talker struct {
	*fake
	begin chan struct{} // closed when they may
	taken atomic.Int64  // bytes
	busy  atomic.Int64  // commands that write
}

func (f *talker) Run(_ context.Context, cmd *compute.Command) (compute.Exit, error) {
	f.busy.Add(1)
	defer f.busy.Add(-1)
	<-f.begin
	p := make([]byte, 64<<10)
	for {
		n, err := cmd.Stdout.Write(p)
		f.taken.Add(int64(n))
		if err != nil {
			return compute.Exit{}, err
		}
	}
}

// A client that asks much, allows much and reads nothing gets no more than 32 MiB queued for it,
// whatever the number of its streams; what it cancels ends nevertheless, and when it goes, all
// does.
func TestQueuedDataIsBounded(t *testing.T) {
	leaks(t)
	a, b := pair(t)
	f := &talker{fake: newFake(), begin: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- agent.Serve(t.Context(), b, f, agent.Options{}) }()
	const streams, most = 600, 32 << 20
	run := "\x01\x02" + "\x01\x01x" + "\x00" + "\x00" + "\x00" // run "x" with stdout
	text := greeting
	for i := range uint32(streams) {
		text += frame(1, 0, 2*i+1, run) + frame(4, 1, 2*i+1, "\x00\x80\x00\x00")
	}
	if _, err := io.WriteString(a, text); err != nil {
		t.Fatal(err)
	}
	soon(t, "all commands", func() bool { return f.busy.Load() == streams })
	// not before all are there: a server that has much to send takes no more requests
	close(f.begin)
	soon(t, "32 MiB", func() bool { return f.taken.Load() > most-1<<20 })
	for last := int64(-1); last != f.taken.Load(); time.Sleep(300 * time.Millisecond) {
		last = f.taken.Load()
	}
	if n := f.taken.Load(); n > most+1<<20 { // and what the socket holds
		t.Errorf("%d MiB were taken from commands for a client that does not read", n>>20)
	}
	text = ""
	for i := range uint32(streams / 2) {
		text += frame(8, 0, 2*i+1, "")
	}
	if _, err := io.WriteString(a, text); err != nil {
		t.Fatal(err)
	}
	soon(t, "cancelled commands to end", func() bool { return f.busy.Load() == streams/2 })
	read := make(chan error, 1)
	go func() { // from now on it reads: everybody gets on
		_, err := io.CopyN(io.Discard, a, 3*most)
		read <- err
	}()
	if err := <-read; err != nil {
		t.Errorf("after a while: %v", fmt.Errorf("reading: %w", err))
	}
	a.Close()
	<-served
	if n := f.busy.Load(); n != 0 {
		t.Errorf("%d commands are left", n)
	}
}
