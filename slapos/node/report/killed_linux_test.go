package report_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// left is a program of etc/report that a pass left when it was killed; the channel is closed when
// it has ended.
func (l *lab) left(id string) <-chan struct{} {
	l.Helper()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.Dir, cmd.Env = "/", []string{runas.For + "=" + runas.Reports(nodetest.Computer, l.At(id))}
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

// TestKilledScripts has what a killed pass left of etc/report be ended before the next is run, and
// before all is taken away.
func TestKilledScripts(t *testing.T) {
	l := newLab(t, 2)
	l.ask("one", "", proto.Started)
	l.ask("two", "", proto.Started)
	l.Put("p0", "etc/report/a", "#!/bin/sh\n", 0o750)
	l.ask("two", "", proto.Destroyed)
	one, two := l.left("p0"), l.left("p1")
	l.run(0)
	<-one
	<-two
}

// deaf is a master whose answer to what was used does not come, though it has heard it, or that
// refuses it.
type deaf struct {
	report.Master
	err   error
	heard bool
	tries int
}

func (m *deaf) ReportUsage(ctx context.Context, computer string, journal []proto.Transaction) error {
	m.tries++
	if m.heard {
		if err := m.Master.ReportUsage(ctx, computer, journal); err != nil {
			return err
		}
	}
	return m.err
}

// TestLostAnswer bills nothing twice where the master has heard what was used and it is not known:
// it is told in the same words until there is an answer, and what else was used beside it.
func TestLostAnswer(t *testing.T) {
	l := newLab(t, 2)
	l.ask("one", "", proto.Started)
	l.ask("two", "", proto.Started)
	l.Put("p0", "var/xml_report/first", consumption("cpu", "7"), 0o640)
	l.Ours("var/xml_report/p0/more", consumption("disk", "3"))
	whole := l.pass.Master
	m := &deaf{Master: whole, heard: true, err: &client.Error{Op: "useComputer", Kind: client.ErrUnreachable}}
	l.pass.Master = m
	l.run(1)
	l.There("p0/var/xml_report/first", "var/hostler/usage/0.json")
	l.Put("p0", "var/xml_report/second", consumption("cpu", "8"), 0o640)
	l.Put("p1", "var/xml_report/third", consumption("cpu", "9"), 0o640)
	now := time.Now().Add(time.Hour)
	l.pass.Now = func() time.Time { return now }
	l.run(2) // what p0 has now too is for when it is known what was heard
	l.There("p0/var/xml_report/second")
	// by the name of what is told already
	l.Put("p0", "var/xml_report/first", consumption("cpu", "10"), 0o640)
	l.pass.Master = whole
	l.run(0)
	l.Gone(
		"p0/var/xml_report/first", "p0/var/xml_report/second", "p1/var/xml_report/third", "var/xml_report/p0/more",
		"var/hostler/usage/0.json", "var/hostler/usage/1.json",
	)
	used := l.used()
	slices.Sort(used)
	if d := cmp.Diff([]string{"cpu of p0 is 10", "cpu of p0 is 7", "cpu of p0 is 8", "cpu of p1 is 9", "disk of p0 is 3"}, used); d != "" {
		t.Error(d)
	}
}

// TestRefusedUsage makes another journal of what a master does not take, and believes no record
// that is none.
func TestRefusedUsage(t *testing.T) {
	l := newLab(t, 1)
	l.ask("one", "", proto.Started)
	l.Put("p0", "var/xml_report/first", consumption("cpu", "7"), 0o640)
	l.Ours("var/hostler/usage/0.json", "{")
	l.Ours("var/hostler/usage/1.json", `{"journal": [{"Title": "x"}], "of": [{"partition": "../x", "here": true}]}`)
	whole := l.pass.Master
	l.pass.Master = &deaf{Master: whole, err: &client.Error{Op: "useComputer", Kind: client.ErrRefused, Status: 400}}
	l.run(1)
	l.There("p0/var/xml_report/first")
	if left, err := os.ReadDir(l.At("var/hostler/usage")); err != nil || len(left) > 0 {
		t.Errorf("left = %v, err = %v; want no error and len(left) <= 0", left, err)
	}
	l.pass.Master = whole
	l.run(0)
	if used := l.used(); len(used) != 1 {
		t.Error(used)
	}
}
