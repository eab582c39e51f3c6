package statusreport_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/statusreport"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

func do(t testing.TB, err error) {
	t.Helper()
	nodetest.Do(t, err)
}

// lab is a computer with the partitions p and p-1, and who tells of them.
type lab struct {
	*nodetest.Rig
	tell *statusreport.Sender
	now  time.Time
}

var ids = []string{"p", "p-1"}

func newLab(t *testing.T) *lab {
	l := &lab{Rig: nodetest.NewOf(t, ids...), now: time.Now()}
	for _, id := range ids {
		do(t, os.MkdirAll(l.At(id, "etc/promise"), 0o750))
		do(t, os.MkdirAll(l.At(id, ".slapgrid/promise/result"), 0o750))
	}
	l.tell = &statusreport.Sender{
		Master: l.Client, Supervisor: l.Supervisor, Computer: nodetest.Computer, InstanceRoot: l.Root,
		Now: func() time.Time { return l.now },
	}
	return l
}

// promised leaves a promise of a partition and its result.
func (l *lab) promised(id, title, message string, failed bool) {
	l.Helper()
	do(l, os.WriteFile(l.At(id, "etc/promise", title), []byte("#!/bin/sh\n"), 0o750))
	do(l, os.WriteFile(l.At(id, ".slapgrid/promise/result", title+".status.json"), fmt.Appendf(nil,
		`{"title": %q, "name": %q, "path": "x", "execution-time": 0.2, "result": {"type": "Test Result", "failed": %t, "date": "2026-11-20T07:08:05+0000", "message": %q}}`, title, title, failed, message), 0o640))
}

// told says whether something is to be told, and the master to take it.
func (l *lab) told(want bool) {
	l.Helper()
	if told, err := l.tell.Send(l.Context(), ids); told != want || err != nil {
		l.Errorf("told %t, %v; want %t", told, err, want)
	}
}

func (l *lab) report() []nodereport.Partition {
	l.Helper()
	n, err := l.Master.Computers.NodeReport(l.Context(), access.Anybody, "C")
	do(l, err)
	return n.Report.Partitions
}

// TestTell tells what runs when it has changed, and from time to time; and a master that does not
// want to know not before an hour is over.
func TestTell(t *testing.T) {
	l := newLab(t)
	l.Runs("p", "server-on-watch", "sleep 1000 & exec sleep 1000")
	l.Runs("p-1-socat", "tcp", "exec sleep 1000")
	l.Runs("other", "x", "exec sleep 1000")
	l.promised("p", "check-url", "no answer", true)
	do(t, os.MkdirAll(l.At("p/.slapgrid/promise/history"), 0o750))
	do(
		t,
		os.WriteFile(
			l.At("p/.slapgrid/promise/history/check-url.jsonl"),
			fmt.Appendf(
				nil, "no line\n"+`{"date": %q, "type": "Test Result", "failed": true, "execution-time": 0.2}`+"\n",
				l.now.UTC().Format(time.RFC3339),
			),
			0o640,
		),
	)
	l.promised("p", "gone", "", true)
	do(t, os.Remove(l.At("p/etc/promise/gone"))) // its result is there still
	l.promised("p-1", "long", strings.Repeat("é", 3000), false)
	l.told(true)
	all := l.report()
	if len(all) != 2 || len(all[0].Processes) != 1 || len(all[1].Processes) != 1 || len(all[0].Promises) != 1 || len(all[1].Promises) != 1 {
		t.Fatalf(
			"all = %+v"+
				"; want len(all) == 2 and len(all[0].Processes) == 1 and len(all[1].Processes) == 1 and "+
				"len(all[0].Promises) == 1 and len(all[1].Promises) == 1",
			all,
		)
	}
	if s := all[0].Processes[0]; s.Name != "server-on-watch" || s.State != "RUNNING" || s.PID == 0 || s.Started.IsZero() || s.Memory == 0 {
		t.Errorf(
			"s = %+v"+
				`; want s.Name == "server-on-watch" and s.State == "RUNNING" and s.PID != 0 and `+
				"!s.Started.IsZero() and s.Memory != 0",
			s,
		)
	}
	if s := all[1].Processes[0]; s.Name != "socat:tcp" {
		t.Errorf(`s = %+v; want s.Name == "socat:tcp"`, s)
	}
	if s := all[0].Promises[0]; s != (nodereport.Promise{
		Name: "check-url", Failed: true, Text: "no answer", At: time.Date(2026, 11, 20, 7, 8, 5, 0, time.UTC),
		Hours: strings.Repeat("-", 23) + "9", Until: promise.HourEnd(l.now),
	}) {
		t.Errorf("s = %+v", s)
	}
	if text := all[1].Promises[0].Text; text != strings.Repeat("é", 1000) {
		t.Errorf("%d bytes", len(text))
	}
	if n, err := l.tell.Report(t.Context(), nil); err != nil || len(n.Partitions) != 2 || n.Partitions[1].ID != "p-1" {
		t.Errorf(`n = %+v, err = %v; want no error and len(n.Partitions) == 2 and n.Partitions[1].ID == "p-1"`, n, err)
	}
	l.told(false)
	l.promised("p-1", "long", "kept otherwise", false) // how it is kept is no news
	l.told(false)
	l.promised("p", "check-url", "", false)
	l.told(true)
	do(t, l.Supervisor.Stop(t.Context(), "p"))
	l.told(true)
	if s := l.report()[0].Processes[0]; s.State != "STOPPED" || s.PID != 0 || s.Memory != 0 {
		t.Errorf(`s = %+v; want s.State == "STOPPED" and s.PID == 0 and s.Memory == 0`, s)
	}
	l.told(false)
	l.now = l.now.Add(6 * time.Minute)
	l.told(true)

	// the master does not know the method
	l.Before(func(answer http.ResponseWriter, r *http.Request) bool {
		http.NotFound(answer, r)
		return true
	})
	l.now = l.now.Add(6 * time.Minute)
	l.told(false)
	l.Before(nil)
	l.Forget()
	l.now = l.now.Add(59 * time.Minute)
	if l.told(false); l.Told() != "" {
		t.Error("it was asked again within an hour")
	}
	l.now = l.now.Add(2 * time.Minute)
	l.told(true)
}
