package report_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/proto"
)

func do(t testing.TB, err error) {
	t.Helper()
	nodetest.Do(t, err)
}

// lab is a computer of ours and who makes report passes over it.
type lab struct {
	*nodetest.Rig
	pass *report.Pass
}

var firstUser = nodetest.FirstUser

func newLab(t *testing.T, partitions int) *lab {
	l := &lab{Rig: nodetest.New(t, partitions)}
	l.pass = &report.Pass{
		Master: l.Client, Supervisor: l.Supervisor, Computer: nodetest.Computer, InstanceRoot: l.Root,
		Timeout: 30 * time.Second, Log: func(line string) { l.Note("%s", line) },
	}
	return l
}

// ask asks for an instance, by a user or, of is not "", by the one in that partition.
func (l *lab) ask(title, of, state string) {
	l.Helper()
	q := &proto.Request{Title: title, Release: "demo", State: state}
	if of != "" {
		q.Computer, q.Partition = nodetest.Computer, of
	}
	l.Ask(q)
}

// run makes a pass, of which so many partitions must fail.
func (l *lab) run(failed int) {
	l.Helper()
	l.Hush()
	l.Forget()
	if out, err := l.pass.Run(l.Context()); out.Failed != failed || err != nil {
		l.Fatalf("%+v, %v; want %d\n%s", out, err, failed, l.Said())
	}
}

func (l *lab) used() []string {
	l.Helper()
	return l.Used(nodetest.Computer)
}

func (l *lab) error(id string) string {
	l.Helper()
	return l.Trouble(nodetest.Computer, id)
}

func (l *lab) fifo(name string) { do(l, unix.Mkfifo(l.At(name), 0o666)) }
