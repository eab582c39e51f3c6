package node_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/proto"
)

// TestHangs has instances that hang, more than may go on beside a pass, keep nobody from being
// started, and be ended when they are wanted no more.
func TestHangs(t *testing.T) {
	const hang = 3
	l := newLab(t, hang+2)
	l.agent.Limit = 0
	l.Light("/hangs", "cat >input; echo >began; exec sleep "+strings.TrimSuffix(hidden(0), "0")+"${HOME##*/p}\n")
	hanging := func(i int) int { return with(t, "sleep\x00"+hidden(i)) }
	l.Light("/r", "cat >input\n"+nodetest.Service("srv", "exec sleep 1000"))
	for i := range hang {
		l.ask("hang"+strconv.Itoa(i), "/hangs", proto.Started, nil)
	}
	l.ask("good", "/r", proto.Started, nil)
	d := &node.Daemon{Agent: l.agent, Period: 50 * time.Millisecond, Retry: 10 * time.Millisecond, Report: func(context.Context) {}}
	l.agent.Patience = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		cancel()
		do(t, <-ended)
		for i := range hang {
			if left := hanging(i); left != 0 {
				t.Errorf("of p%d %d are left", i, left)
			}
		}
	}()
	l.Until("the service", func() bool { return strings.Contains(l.Told(), "startedComputerPartition p3") })
	l.Until("what hangs", func() bool { return l.Read("p0", "began") != "" && l.Read("p2", "began") != "" })
	if free, ok := l.agent.Take("p0"); ok {
		free()
		t.Error("it is free while it is processed")
	}
	l.ask("hang1", "/hangs", proto.Destroyed, nil)
	l.Until("the destruction of what hangs", func() bool { return strings.Contains(l.Told(), "stoppedComputerPartition p1") })
	if hanging(1) != 0 || hanging(0) == 0 {
		t.Errorf("%d of what is wanted no more, and %d of another", hanging(1), hanging(0))
	}
	var free func()
	l.Until("what was processed is free", func() (ok bool) { // the master is told a moment before
		free, ok = l.agent.Take("p3")
		return ok
	})
	l.ask("good", "/r", proto.Stopped, nil)
	l.ask("next", "/r", proto.Started, nil)
	l.Until("the next one", func() bool { return strings.Contains(l.Told(), "startedComputerPartition p4") })
	if l.State("p3:srv-on-watch").PID == 0 {
		t.Error("a partition that is taken was stopped")
	}
	free()
	l.Until("the stop", func() bool { return strings.Contains(l.Told(), "stoppedComputerPartition p3") })
}
