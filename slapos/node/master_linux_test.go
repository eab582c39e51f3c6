package node_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

// TestMasterAway has a node's master be away in several ways for as long as it takes to be asked
// many times: what runs goes on, it is said once, and all goes on when it is back.
func TestMasterAway(t *testing.T) {
	l := newLab(t, 1)
	l.Light("/r", "cat >input\n"+nodetest.Service("srv", "exec sleep 1000"))
	l.ask("demo", "/r", proto.Started, proto.Dictionary{"n": "0"})
	d := &node.Daemon{Agent: l.agent, Period: 5 * time.Millisecond, ReportEvery: time.Hour, Retry: time.Millisecond,
		Watch: func(ctx context.Context, after int64) (int64, error) { return l.Client.Watch(ctx, "C", after) }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		cancel()
		do(t, <-ended)
	}()
	l.Until("the service", func() bool { return l.State("p0:srv-on-watch").State == supervise.Running })
	was := l.State("p0:srv-on-watch")
	for i, away := range []struct {
		says string
		f    func(w http.ResponseWriter)
	}{
		{"The master is not reached", func(w http.ResponseWriter) {
			c, _, err := w.(http.Hijacker).Hijack()
			do(t, err)
			_ = c.Close()
		}},
		{"refused with status 503", func(w http.ResponseWriter) { http.Error(w, "not now", http.StatusServiceUnavailable) }},
		{"denied", func(w http.ResponseWriter) { http.Error(w, "who are you", http.StatusForbidden) }},
		{"not found: what computer", func(w http.ResponseWriter) { http.Error(w, "what computer", http.StatusNotFound) }},
		{"does not say what is wanted", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>welcome</html>")) }},
		{"does not say what is wanted", func(w http.ResponseWriter) {}},
	} {
		l.Hush()
		var asked atomic.Int64
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/getFullComputerInformation" {
				asked.Add(1)
			}
			away.f(w)
			return true
		})
		l.Until("that it is asked again and again", func() bool { return asked.Load() >= 20 })
		if said := l.Said(); strings.Count(said, "The master is not reached")+strings.Count(said, "The master does not say") != 1 ||
			!strings.Contains(said, away.says) {
			t.Errorf("%d: of %q it says\n%s", i, away.says, said)
		}
		if now := l.State("p0:srv-on-watch"); now.PID != was.PID || now.Restarts != 0 {
			t.Errorf("%d: it was %+v and is %+v", i, was, now)
		}
		l.Before(nil)
		l.ask("demo", "/r", proto.Started, proto.Dictionary{"n": fmt.Sprint(i + 1)})
		l.Until("that all goes on", func() bool { return strings.Contains(l.Read("p0", "input"), fmt.Sprintf(`"n":"%d"`, i+1)) })
		l.Says("The master says again what is wanted")
	}
	if now := l.State("p0:srv-on-watch"); now.PID != was.PID {
		t.Errorf("it was %+v and is %+v", was, now)
	}
}

// TestMasterLies has a master say what cannot be: nothing that runs is stopped, nothing is touched
// that is not the partition's, and what is said beside it is done.
func TestMasterLies(t *testing.T) {
	l := newLab(t, 3)
	l.Light("/r", "cat >input\n"+nodetest.Service("srv", "exec sleep 1000"))
	for _, name := range []string{"one", "two"} {
		l.ask(name, "/r", proto.Started, nil)
	}
	l.run(0, node.Options{})
	was := []supervise.Status{l.State("p0:srv-on-watch"), l.State("p1:srv-on-watch")}
	truth, err := l.Client.Computer(t.Context(), "C")
	do(t, err)
	do(t, os.WriteFile(l.At("file"), []byte("mine"), 0o600))
	do(t, os.Mkdir(l.At("rooted"), 0o750))
	entries := func() string {
		all, err := os.ReadDir(l.Root)
		do(t, err)
		work, err := os.ReadDir(l.Work)
		do(t, err)
		return fmt.Sprint(all, work)
	}
	there := entries()
	n := 0
	for what, lie := range map[string]struct {
		says string // in what is said
		f    func(c *proto.Computer)
	}{
		"nothing": {"", func(c *proto.Computer) { c.Partitions = nil }},
		"another computer's": {
			"of the computer \"D\" and not of this one",
			func(c *proto.Computer) { c.Partitions[0].Computer, c.Partitions[0].State = "D", proto.Destroyed },
		},
		"an unknown state":  {"is no state that it can be in", func(c *proto.Computer) { c.Partitions[0].State = "exploded" }},
		"no state":          {"is no state that it can be in", func(c *proto.Computer) { c.Partitions[0].State = "" }},
		"without a release": {"without a software release", func(c *proto.Computer) { c.Partitions[0].Release = "" }},
		"free": {
			"it is free and has files",
			func(c *proto.Computer) { c.Partitions[0].Release, c.Partitions[0].State = "", proto.Destroyed },
		},
		"twice": {"twice in its list", func(c *proto.Computer) {
			c.Partitions = append(c.Partitions, c.Partitions[0])
			c.Partitions[3].State = proto.Destroyed
		}},
		"out of the directory": {"no name of a partition", func(c *proto.Computer) { c.Partitions[0].ID = "../inst/p0" }},
		"out of the directory 2": {
			"no name of a partition",
			func(c *proto.Computer) { c.Partitions[0].ID, c.Partitions[0].State = "p2/../../soft", proto.Destroyed },
		},
		"itself": {
			"no name of a partition",
			func(c *proto.Computer) { c.Partitions[0].ID, c.Partitions[0].State = ".", proto.Destroyed },
		},
		"two lines": {"no name of a partition", func(c *proto.Computer) { c.Partitions[0].ID = "p0\np1" }},
		"one that is ours": {"it belongs to root", func(c *proto.Computer) {
			c.Partitions[2].ID, c.Partitions[2].Release, c.Partitions[2].State = "rooted", "/r", proto.Started
		}},
		"the node's own": {
			"no name of a partition",
			func(c *proto.Computer) { c.Partitions[0].ID, c.Partitions[0].State = "var", proto.Destroyed },
		},
		"a file": {"has no directory", func(c *proto.Computer) {
			c.Partitions[2].ID, c.Partitions[2].Release, c.Partitions[2].State = "file", "/r", proto.Started
		}},
		"a release elsewhere": {"is not present on system", func(c *proto.Computer) { c.Partitions[0].Release = "../../../etc" }},
		"a release of two lines": {
			"is not present on system", func(c *proto.Computer) { c.Partitions[0].Release = "/r\n[buildout]\nparts = x" },
		},
		"many": {"has no directory", func(c *proto.Computer) {
			for i := range 300 {
				c.Partitions = append(
					c.Partitions,
					proto.Partition{Computer: "C", ID: fmt.Sprint("many", i), Release: "/r", State: proto.Started},
				)
			}
		}},
		"large": {"", func(c *proto.Computer) {
			p := &c.Partitions[1]
			p.Timestamp, p.Title, p.Type = strings.Repeat("7", 100<<10), "\u202e../../x\nno", strings.Repeat("t", 100<<10)
			p.Filter = proto.Dictionary{"retention_delay": "NaN"}
		}},
	} {
		if strings.Contains(lie.says, "root") && os.Getuid() != 0 {
			continue
		}
		n++
		c := *truth
		c.Partitions = slices.Clone(truth.Partitions)
		for i := range c.Partitions {
			c.Partitions[i].Timestamp = fmt.Sprint("1", n) // all is to be processed
		}
		lie.f(&c)
		text, err := proto.Marshal(c.Object())
		do(t, err)
		l.Before(func(w http.ResponseWriter, r *http.Request) bool {
			ours := strings.HasSuffix(r.URL.Path, "ComputerInformation")
			if ours {
				_, _ = w.Write(text)
			}
			return ours
		})
		l.Hush()
		if _, err := l.agent.Instances(t.Context(), node.Options{}); err != nil {
			t.Errorf("%s: err = %v; want no error", what, err)
		}
		if !strings.Contains(l.Said(), lie.says) {
			t.Errorf("%s: it lacks %q:\n%.2000s", what, lie.says, l.Said())
		}
		for i, s := range was {
			if now := l.State(s.FullName()); now.PID != s.PID {
				t.Errorf("%s: p%d was %+v and is %+v", what, i, s, now)
			}
		}
		if stamp := l.Read("p1", ".timestamp"); len(c.Partitions) > 0 && stamp != c.Partitions[1].Timestamp {
			t.Errorf("%s: the one beside has the timestamp %.40q", what, stamp)
		}
		if now := entries(); now != there || l.Read("file") != "mine" {
			t.Errorf("%s: there is %s, and was %s", what, now, there)
		}
	}
	l.Before(nil)
	l.run(0, node.Options{})
	for i, s := range was {
		if now := l.State(s.FullName()); now.PID != s.PID {
			t.Errorf("in the end p%d was %+v and is %+v", i, s, now)
		}
	}
}
