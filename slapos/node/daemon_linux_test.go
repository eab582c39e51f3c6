package node_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// TestWatchdog has a master told once of a service that does not stay, and again after it was
// processed.
func TestWatchdog(t *testing.T) {
	l := newLab(t, 1)
	var asked atomic.Int64
	dog := &node.Watchdog{Computer: "C", InstanceRoot: l.Root, Log: slog.New(slog.DiscardHandler),
		First: time.Millisecond, Last: 5 * time.Millisecond, Gap: time.Nanosecond, Ask: func(string) (node.Banger, func(), error) {
			if asked.Add(1) == 1 {
				return nil, nil, errors.New("not now") // it is tried again
			}
			return l.Client, func() {}, nil
		}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { dog.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	do(t, l.Supervisor.Close())
	l.Supervision.Event = dog.Event
	l.next()
	l.Light("/r", "cat >input\n"+nodetest.Service("srv", "[ -e stay ] && exec sleep 1000; until [ -e go ]; do sleep .01; done; exit 1"))
	l.ask("demo", "/r", proto.Started, nil)
	l.run(0, node.Options{})
	stamp := l.Read("p0", ".timestamp")
	// not before the pass is done: what is told then is of the next one
	do(t, os.WriteFile(l.At("p0", "go"), nil, 0o644))
	bangs := func() int { return strings.Count(l.Told(), "softwareInstanceBang p0") }
	l.Until("the bang", func() bool { return l.Read("p0", ".slapos_latest_bang_timestamp") == stamp })
	dog.Event(supervise.Event{Group: "p0", Name: "srv-on-watch", Weight: true})
	dog.Event(supervise.Event{Group: "p0", Name: "once", Weight: true})
	dog.Event(supervise.Event{Group: "../p0", Name: "srv-on-watch", Weight: true})
	l.Until("that nothing is left to tell", func() bool { return asked.Load() >= 2 })
	if n := bangs(); n != 1 {
		t.Errorf("the master was banged %d times", n)
	}
	do(t, os.WriteFile(l.At("p0", "stay"), nil, 0o644))
	if out := l.run(0, node.Options{}); out.Done != 1 || l.Read("p0", ".timestamp") == stamp {
		t.Error("a bang has nothing processed")
	}
	l.Until("the service", func() bool { return l.State("p0:srv-on-watch").State == supervise.Running })
	dog.Event(supervise.Event{Group: "p0", Name: "srv-on-watch", Weight: true})
	l.Until("the second bang", func() bool { return bangs() == 1 })
}

// bangs notes who bangs.
type bangs struct {
	mu  sync.Mutex
	all []string
}

func (b *bangs) Bang(_ context.Context, _, partition, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, partition)
	return nil
}

func (b *bangs) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.all, " ")
}

// TestBangsInARow has a partition that fails whenever it was processed be processed so often and no
// more.
func TestBangsInARow(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"p0", "p1"} {
		do(t, os.Mkdir(root+"/"+id, 0o750))
	}
	b := &bangs{}
	dog := &node.Watchdog{
		Computer: "C", InstanceRoot: root, Log: slog.New(slog.DiscardHandler), Gap: time.Hour,
		Ask: func(string) (node.Banger, func(), error) { return b, func() {}, nil },
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { dog.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	until := func(want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); b.String() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("bangs: %s; want %s", b, want)
			}
		}
	}
	dog.Event(supervise.Event{Group: "p0", Name: "srv-on-watch", Weight: true})
	until("p0")
	do(t, os.WriteFile(root+"/p0/.timestamp", []byte("2"), 0o644)) // it was processed
	dog.Event(supervise.Event{Group: "p0", Name: "srv-on-watch", Weight: true})
	dog.Event(supervise.Event{Group: "p1", Name: "srv-on-watch", Weight: true})
	until("p0 p1")
}

// refusing is a master that answers each bang with an error.
type refusing struct {
	bangs
	err error
}

func (r *refusing) Bang(ctx context.Context, computer, partition, message string) error {
	_ = r.bangs.Bang(ctx, computer, partition, message)
	return r.err
}

// TestRefusedBang tells a master once who does not know the partition, or hears nothing from it,
// and another again.
func TestRefusedBang(t *testing.T) {
	for kind, want := range map[error]string{client.ErrNotFound: "p0 p1", client.ErrDenied: "p0 p1", client.ErrUnreachable: "p0 p0 p0 p0"} {
		root := t.TempDir()
		for _, id := range []string{"p0", "p1"} {
			do(t, os.Mkdir(root+"/"+id, 0o750))
		}
		b := &refusing{err: &client.Error{Op: "softwareInstanceBang", Kind: kind}}
		dog := &node.Watchdog{
			Computer: "C", InstanceRoot: root, Log: slog.New(slog.DiscardHandler), First: time.Microsecond,
			Last: time.Microsecond, Gap: time.Nanosecond,
			Ask: func(string) (node.Banger, func(), error) { return b, func() {}, nil },
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { dog.Run(ctx) })
		dog.Event(supervise.Event{Group: "p0", Name: "srv-on-watch", Weight: true})
		first, _, more := strings.Cut(want, " p1")
		nodetest.Until(t, "the first", func() bool { return strings.HasPrefix(b.String(), first) })
		if more {
			dog.Event(supervise.Event{Group: "p1", Name: "srv-on-watch", Weight: true})
			nodetest.Until(t, "the second", func() bool { return strings.Contains(b.String(), "p1") })
			if got := b.String(); got != want {
				t.Errorf("%v: bangs: %s; want %s", kind, got, want)
			}
		}
		cancel()
		wg.Wait()
	}
}

// TestNextSupervisor goes on with the next supervisor where one is closed in the middle; that of
// kill -9 is in node/supervise.
func TestNextSupervisor(t *testing.T) {
	l := newLab(t, 1)
	l.Light("/r", "cat >input\n"+nodetest.Service("srv", "exec sleep 1000"))
	l.ask("demo", "/r", proto.Started, nil)
	l.run(0, node.Options{})
	was := l.State("p0:srv-on-watch")
	do(t, l.Supervisor.Close())
	if out, err := l.agent.Instances(t.Context(), node.Options{Force: true}); err != nil || out.Status() != 1 {
		t.Errorf("without a supervisor: %+v, %v", out, err)
	}
	l.next()
	l.run(0, node.Options{})
	if now := l.State("p0:srv-on-watch"); now.PID != was.PID || now.State != supervise.Running {
		t.Errorf("it was %+v and is %+v", was, now)
	}
}

// TestDaemon has what is asked for run without anybody's doing, and does nothing where nothing is
// new.
func TestDaemon(t *testing.T) {
	l := newLab(t, 3)
	l.Light("/kid", "cat >input; echo '{\"connection\":{\"port\":\"1\"}}'\n")
	var builds, reports atomic.Int64
	d := &node.Daemon{Agent: l.agent, Period: time.Hour, ReportEvery: time.Hour, Retry: 10 * time.Millisecond,
		Watch:    func(ctx context.Context, after int64) (int64, error) { return l.Client.Watch(ctx, "C", after) },
		Software: func(context.Context, *proto.Computer) bool { return builds.Add(1) == 2 },
		Report: func(ctx context.Context) {
			reports.Add(1)
			c, _ := l.Client.Computer(ctx, "C")
			for _, p := range c.Partitions {
				if p.State == proto.Destroyed && p.Release != "" {
					_, _ = l.Client.ReportInstance(ctx, "C", p.ID, proto.Destroyed)
				}
			}
		}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		cancel()
		do(t, <-ended)
	}()
	l.Light(
		"/r",
		"cat >input; echo '{\"request\":[{\"title\":\"kid\",\"software_release\":\"/kid\"}]}'\n"+nodetest.Service("srv", "exec sleep 1000"),
	)
	l.ask("demo", "/r", proto.Started, nil)
	l.Until("the service", func() bool { return l.State("p0:srv-on-watch").State == supervise.Running })
	l.Until("the child's values", func() bool {
		return strings.Contains(l.Read("p0", "input"), `"kid":{"state":"started","connection":{"port":"1"}}`)
	})
	l.ask("demo", "/r", proto.Stopped, nil)
	l.Until("the stop", func() bool {
		return l.State("p0:srv-on-watch").PID == 0 && strings.Contains(l.Told(), "stoppedComputerPartition p0")
	})
	l.ask("demo", "/r", proto.Destroyed, nil)
	l.Until("the destruction", func() bool {
		c, err := l.Client.Computer(t.Context(), "C")
		do(t, err)
		return c.Partitions[0].Release == "" && c.Partitions[1].Release == ""
	})
	if reports.Load() == 0 || builds.Load() == 0 {
		t.Errorf("%d reports, %d builds", reports.Load(), builds.Load())
	}
}

// TestHastyMaster is asked no more often by who watches it where it answers at once.
func TestHastyMaster(t *testing.T) {
	l := newLab(t, 1)
	var watched, built atomic.Int64
	d := &node.Daemon{Agent: l.agent, Period: 100 * time.Millisecond, Watch: func(_ context.Context, after int64) (int64, error) {
		watched.Add(1)
		return 1, nil
	}, Software: func(context.Context, *proto.Computer) bool { built.Add(1); return false }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	l.Until("some passes", func() bool { return built.Load() >= 5 })
	cancel()
	do(t, <-ended)
	if n := watched.Load(); n > 100 {
		t.Errorf("it was asked %d times in five passes", n)
	}
}
