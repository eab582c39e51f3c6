package node_test

import (
	"os"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

func do(t testing.TB, err error) {
	t.Helper()
	nodetest.Do(t, err)
}

// lab is a computer of ours and who makes passes over it.
type lab struct {
	*nodetest.Rig
	agent *node.Agent
}

var firstUser = nodetest.FirstUser

func newLab(t testing.TB, partitions int) *lab {
	l := &lab{Rig: nodetest.New(t, partitions)}
	l.agent = &node.Agent{Master: l.Client, Supervisor: l.Supervisor, Say: l.Note, Warn: l.Note, Config: node.Config{
		Computer: nodetest.Computer, MasterURL: l.URL, InstanceRoot: l.Root, SoftwareRoot: l.Software,
		Periodicity: 24 * time.Hour, Keep: supervise.Again, Environ: os.Environ(), Limit: time.Minute,
	}}
	return l
}

func (l *lab) ask(title, release, state string, parameters proto.Dictionary) {
	l.Helper()
	l.Ask(&proto.Request{Title: title, Release: release, State: state, Parameters: parameters})
}

// run makes a pass that ends with a status.
func (l *lab) run(status int, o node.Options) node.Outcome {
	l.Helper()
	l.Hush()
	l.Forget()
	out, err := l.agent.Instances(l.Context(), o)
	if err != nil || out.Status() != status {
		l.Fatalf("status %d, %v; want %d\n%s\n%s", out.Status(), err, status, out.Report(), l.Said())
	}
	return out
}

// next has another supervisor go on where one was closed.
func (l *lab) next() {
	l.Helper()
	l.Supervise()
	l.agent.Supervisor = l.Supervisor
}
