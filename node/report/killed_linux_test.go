package report_test

import (
	"os/exec"
	"testing"

	"github.com/hostler-project/hostler/node/nodetest"
	"github.com/hostler-project/hostler/node/once"
	"github.com/hostler-project/hostler/slap"
)

// left is a program of etc/report that a pass left when it was killed; the channel is closed when it has ended.
func (l *lab) left(id string) <-chan struct{} {
	l.Helper()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.Dir, cmd.Env = "/", []string{once.For + "=" + once.Reports(nodetest.Computer, l.At(id))}
	do(l, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	l.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	return ended
}

// TestKilledScripts has what a killed pass left of etc/report be ended before the next is run, and before all is taken away.
func TestKilledScripts(t *testing.T) {
	l := newLab(t, 2)
	l.ask("one", "", slap.Started)
	l.ask("two", "", slap.Started)
	l.Put("p0", "etc/report/a", "#!/bin/sh\n", 0o750)
	l.ask("two", "", slap.Destroyed)
	one, two := l.left("p0"), l.left("p1")
	l.run(0)
	<-one
	<-two
}
