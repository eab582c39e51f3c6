package report_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

func consumption(resource, quantity string) string {
	return "<consumption><movement><resource>" + resource + "</resource><title>t</title><reference>somebody-else</reference><quantity>" + quantity +
		"</quantity><price>0.00</price><VAT/><category/></movement></consumption>"
}

// TestTold has programs of partitions run, each as its user, and tells the master in one journal
// what they and others have left.
func TestTold(t *testing.T) {
	l := newLab(t, 3)
	l.ask("one", "", proto.Started)
	l.ask("two", "", proto.Started)
	script := "#!/bin/sh\nset -e\ntest \"$(pwd)\" = " + l.At("p0/etc/report") + "\ntest -z \"$LANG$LC_ALL\"\necho '" + consumption("cpu", "42.5") + "' >\"$1\"\nid -u >../../as\n"
	l.Put("p0", "etc/report/a", script, 0o750)
	l.Put("p0", "etc/report/b", script, 0o750)
	l.Put("p1", "var/xml_report/left", consumption("memory", "7"), 0o640)
	l.Ours("var/xml_report/p1/theirs.xml", consumption("disk", "9"))
	journal, err := proto.FormatUsage([]proto.Transaction{{
		Title: "all of it", Movements: []proto.Movement{{Resource: "load", Reference: "C", Quantity: "1"}},
	}})
	do(t, err)
	l.Ours("var/xml_report/C/day.xml", journal)
	l.Put("p2", "var/xml_report/free", consumption("free", "1"), 0o640)
	l.run(0)
	want := []string{"cpu of p0 is 42.5", "cpu of p0 is 42.5", "disk of p1 is 9", "load of C is 1", "memory of p1 is 7"}
	used := l.used()
	slices.Sort(used)
	if d := cmp.Diff(want, used); d != "" {
		t.Error(d)
	}
	if told := l.Told(); told != "useComputer, useComputer" {
		t.Error(told)
	}
	if as, _ := os.ReadFile(l.At("p0/as")); os.Getuid() == 0 && string(as) != strconv.Itoa(firstUser)+"\n" {
		t.Errorf("as %s", as)
	}
	l.Gone("p1/var/xml_report/left", "var/xml_report/p1/theirs.xml", "var/xml_report/C/day.xml")
	l.There("p2/var/xml_report/free")
	if left, err := os.ReadDir(l.At("p0/var/xml_report")); err != nil || len(left) != 0 {
		t.Errorf("left = %v, err = %v; want no error and len(left) == 0", left, err)
	}
	do(t, os.RemoveAll(l.At("p0/etc")))
	l.run(0)
	if told := l.Told(); told != "" {
		t.Errorf("told again: %s", told)
	}
}

// TestHostile does not let one partition harm another, the node or the pass: what it leaves in
// place of reports is left where it is.
func TestHostile(t *testing.T) {
	l := newLab(t, 3)
	for _, title := range []string{"bad", "worse", "good"} {
		l.ask(title, "", proto.Started)
	}
	l.Ours("secret", consumption("secret", "1"))
	l.Put("p0", "var/xml_report/wrong", "<consumption><movement/></consumption>", 0o640)
	l.Put("p0", "var/xml_report/huge", "<consumption>"+strings.Repeat(" ", 1<<20)+"</consumption>", 0o640)
	l.Put("p0", "var/xml_report/fine", consumption("cpu", "1"), 0o640)
	do(t, os.Symlink(l.At("secret"), l.At("p0/var/xml_report/link")))
	do(t, os.Mkdir(l.At("p0/var/xml_report/directory"), 0o755))
	l.fifo("p0/var/xml_report/fifo")
	l.Put("p0", "etc/report/fails", "#!/bin/sh\necho this is why; exit 3\n", 0o750)
	l.Put("p0", "etc/report/mode", "#!/bin/sh\n", 0o640)
	l.Put("p0", "etc/report/later", "#!/bin/sh\necho '"+consumption("late", "1")+"' >\"$1\"\n", 0o750)
	l.Put("p0", "etc/report/hangs", "#!/bin/sh\nsetsid sleep 1000 & sleep 1000\n", 0o750)
	l.Put("p1", "etc/x", "", 0o640)
	do(t, os.Symlink(l.Root, l.At("p1/var"))) // where var/xml_report is the node's own
	l.Ours("xml_report/theirs", consumption("stolen", "1"))
	l.Put("p2", "var/xml_report/fine", consumption("cpu", "2"), 0o640)
	l.pass.Timeout = 300 * time.Millisecond
	l.run(2)
	used := l.used()
	slices.Sort(used)
	if d := cmp.Diff([]string{"cpu of p0 is 1", "cpu of p2 is 2"}, used); d != "" {
		t.Error(d)
	}
	l.There(
		"p0/var/xml_report/wrong", "p0/var/xml_report/huge", "p0/var/xml_report/link", "p0/var/xml_report/fifo",
		"p0/var/xml_report/directory", "secret", "xml_report/theirs",
	)
	l.Gone("p0/var/xml_report/fine", "p2/var/xml_report/fine")
	l.Says(
		"fails: exit status 3\nthis is why", "mode: it is not executable", "hangs: ", "it took too long",
		"later: it was not run", "var/xml_report/wrong stays where it is, and is not sent", "without <resource>", "p1: ",
	)
	if l.error("p0") == "" || l.error("p1") == "" || l.error("p2") != "" {
		t.Errorf(
			`l.error("p0") = %q, l.error("p1") = %q, l.error("p2") = %q`+
				`; want l.error("p0") != "" and l.error("p1") != "" and l.error("p2") == ""`,
			l.error("p0"), l.error("p1"), l.error("p2"),
		)
	}
}

// TestUntold keeps what the master did not take, and the instance whose use that is; the next pass
// tells it.
func TestUntold(t *testing.T) {
	l := newLab(t, 1)
	l.ask("one", "", proto.Started)
	l.Put("p0", "var/xml_report/left", consumption("cpu", "7"), 0o640)
	l.ask("one", "", proto.Destroyed)
	l.Refuse(func(path string) bool { return path == "useComputer" })
	l.run(1)
	l.There("p0/var/xml_report/left")
	l.Says("is not destroyed yet: what it used could not be told")
	if told := l.Told(); strings.Contains(told, "destroyed") {
		t.Error(told)
	}
	l.Refuse(nil)
	l.run(0)
	if told := l.Told(); told != "useComputer, stoppedComputerPartition p0, destroyedComputerPartition p0" {
		t.Error(told)
	}
	l.Gone("p0/var")
	if used := l.used(); len(used) != 1 {
		t.Error(used)
	}
}

// TestDestroyed takes everything of an instance away that is its, and nothing else.
func TestDestroyed(t *testing.T) {
	l := newLab(t, 11)
	for i := range 11 {
		l.ask("n"+strconv.Itoa(i), "", proto.Started)
	}
	l.pass.Certificates, l.pass.Storage = l.At("pki"), l.At("storage")
	for _, name := range []string{
		"pki/p1.key", "pki/p1.crt", "pki/p10.key", "storage/data1/p1/big", "storage/data1/p10/big", "outside/file",
	} {
		l.Ours(name, "x")
	}
	l.Put("p1", "sbin/destroy", "#!/bin/sh\ntest -e etc/deep/er/file && id -u >"+l.Work+"/destroyed-by\n", 0o750)
	do(t, os.WriteFile(l.Work+"/destroyed-by", nil, 0o666))
	do(t, os.Chmod(l.Work+"/destroyed-by", 0o666))
	l.Put("p1", "etc/deep/er/file", "x", 0o400)
	do(t, os.Chmod(l.At("p1/etc/deep/er"), 0o500))
	do(t, os.Chmod(l.At("p1/etc/deep"), 0o500))
	l.Put("p1", ".slapos-resource", "{}", 0o640)
	do(t, os.Mkdir(l.At("p1/DATA"), 0o755))
	do(t, os.Symlink(l.At("outside"), l.At("p1/DATA/data1")))
	do(t, os.Symlink(l.At("outside"), l.At("p1/software_release")))
	for _, group := range []string{"p1", "p1-prerm", "p10", "other"} {
		_, err := l.Supervisor.Put(
			t.Context(),
			supervise.Group{
				Name:     group,
				Programs: []supervise.Program{{Name: "x", Command: []string{"/bin/sleep", "1000"}, Dir: "/", Env: []string{"PATH=/bin"}}},
			},
		)
		do(t, err)
		do(t, l.Supervisor.Start(t.Context(), group))
	}
	l.ask("n1", "", proto.Destroyed)
	hooked := ""
	l.pass.Hook = func(_ context.Context, p *proto.Partition, dir string) error { hooked += p.ID + " " + dir; return nil }
	// It waits for a program, and would for no other partition's.
	l.Put("p1", ".slapos-report-wait-service-list", "p10:x\nother:x\np1-prerm:x\n", 0o640)
	l.run(0)
	l.Says("p1 is not destroyed yet: p1-prerm:x still runs")
	if told := l.Told(); told != "stoppedComputerPartition p1" || hooked != "p1 "+l.At("p1") {
		t.Errorf(
			"told = %v, hooked = %v"+
				`; want told == "stoppedComputerPartition p1" and hooked == "p1 "+l.At("p1")`,
			told, hooked,
		)
	}
	do(t, l.Supervisor.Stop(t.Context(), "p1-prerm"))
	l.run(0)
	if told := l.Told(); told != "stoppedComputerPartition p1, destroyedComputerPartition p1" {
		t.Error(told)
	}
	if left, err := os.ReadDir(l.At("p1")); err != nil || len(left) != 0 {
		t.Errorf("left = %v, err = %v; want no error and len(left) == 0", left, err)
	}
	l.Gone("pki/p1.key", "pki/p1.crt", "storage/data1/p1/big")
	l.There("pki/p10.key", "storage/data1/p1", "storage/data1/p10/big", "outside/file", "p10")
	if groups, err := l.Supervisor.Groups(t.Context()); err != nil || !slices.Equal(groups, []string{"other", "p10"}) {
		t.Errorf(`groups = %v, err = %v; want no error and groups == []string{"other", "p10"}`, groups, err)
	}
	if by, _ := os.ReadFile(l.Work + "/destroyed-by"); os.Getuid() == 0 && string(by) != strconv.Itoa(firstUser+1)+"\n" {
		t.Errorf("sbin/destroy ran as %q", by)
	}
	l.run(0)
	if told := l.Told(); told != "" {
		t.Errorf("a free partition: %s", told)
	}
}

// TestForgotten has nothing of an instance that is gone be remembered for the next one, also where
// no other pass has seen that it was to go.
func TestForgotten(t *testing.T) {
	l := newLab(t, 2)
	for _, title := range []string{"a", "b"} {
		l.ask(title, "", proto.Started)
	}
	l.ask("a", "", proto.Destroyed)
	l.Ours(report.Memory+"/p0.json", "{}")
	l.Ours(report.Memory+"/p1.json", "{}")
	l.run(0)
	l.Gone(report.Memory + "/p0.json")
	l.There(report.Memory + "/p1.json")
}

// TestRetention keeps an instance as long as it was said, and also where it was said badly.
func TestRetention(t *testing.T) {
	l := newLab(t, 1)
	l.ask("one", "", proto.Started)
	l.ask("one", "", proto.Destroyed)
	l.Put("p0", "file", "x", 0o640)
	l.Put("p0", ".slapos-retention-lock-delay", "soon", 0o640)
	l.run(1)
	l.Says("holds no number", "remove the file")
	l.Put("p0", ".slapos-retention-lock-delay", "2.5", 0o640)
	now := time.Now()
	l.pass.Now = func() time.Time { return now }
	l.run(0)
	l.Says("p0 is not destroyed before")
	if text, err := os.ReadFile(l.At("p0/.slapos-retention-lock-date")); err != nil ||
		string(text) != strconv.FormatInt(now.Add(60*time.Hour).Unix(), 10) {
		t.Errorf(
			"text = %s, err = %v"+
				"; want no error and string(text) == strconv.FormatInt(now.Add(60*time.Hour).Unix(), 10)",
			text, err,
		)
	}
	l.There("p0/file")
	now = now.Add(59 * time.Hour)
	l.Put("p0", ".slapos-retention-lock-delay", "0", 0o640)
	l.run(0)
	l.There("p0/file")
	now = now.Add(2 * time.Hour)
	l.run(0)
	l.Gone("p0/file", "p0/.slapos-retention-lock-date")
}

// TestUndestroyed keeps what its own program refuses to let go, or what is not there to be seen.
func TestUndestroyed(t *testing.T) {
	l := newLab(t, 3)
	for _, title := range []string{"a", "b", "c"} {
		l.ask(title, "", proto.Started)
		l.ask(title, "", proto.Destroyed)
	}
	l.Put("p0", "sbin/destroy", "#!/bin/sh\necho not yet; exit 1\n", 0o750)
	do(t, os.Remove(l.At("p1"))) // as where the disk is not mounted
	l.Put("p2", "file", "x", 0o640)
	l.run(2)
	l.There("p0/sbin/destroy")
	l.Gone("p2/file")
	l.Says("sbin/destroy of p0 failed", "not yet", "partition p1 has no directory")
	if told := l.Told(); strings.Contains(told, "destroyedComputerPartition p0") ||
		strings.Contains(told, "destroyedComputerPartition p1") || !strings.Contains(told, "destroyedComputerPartition p2") {
		t.Error(told)
	}
}

// TestMoreThanOnce tells all that a partition used before that goes, though it is more than one
// pass tells, and between two passes nothing of others.
func TestMoreThanOnce(t *testing.T) {
	l := newLab(t, 2)
	l.ask("much", "", proto.Started)
	l.ask("other", "", proto.Started)
	const files = 3
	for i := range files {
		l.Put("p0", "var/xml_report/"+strconv.Itoa(i), consumption(strings.Repeat("x", 80<<10), strconv.Itoa(i)), 0o640)
	}
	l.Put("p1", "var/xml_report/left", consumption("cpu", "7"), 0o640)
	l.Put("p1", "etc/report/a", "#!/bin/sh\n>../../ran\n", 0o750)
	l.ask("much", "", proto.Destroyed)
	run := func() {
		if out, err := l.pass.Destroy(t.Context()); err != nil || out.Failed > 0 {
			t.Errorf("out = %+v, err = %v; want no error and out.Failed <= 0", out, err)
		}
	}
	run()
	l.There("p0/var/xml_report/2")
	l.Says("is not destroyed yet: what it used could not be told")
	run()
	l.Gone("p0/var", "p1/ran")
	l.There("p1/var/xml_report/left")
	if used := l.used(); len(used) != files {
		t.Errorf("%d of %d are told", len(used), files)
	}
}

// lying is a master that has partitions which are none.
type lying struct {
	report.Master
	also []string
}

func (m *lying) Computer(ctx context.Context, id string) (*proto.Computer, error) {
	c, err := m.Master.Computer(ctx, id)
	for _, name := range m.also {
		c.Partitions = append(c.Partitions, proto.Partition{ID: name, Computer: id, Release: "r", State: proto.Destroyed})
	}
	return c, err
}

// TestNoPartitions leaves alone what a master wants destroyed and what is no partition: the node's
// own directories, and root's.
func TestNoPartitions(t *testing.T) {
	l := newLab(t, 1)
	l.Ours("var/keep", "x")
	l.Ours("etc/keep", "x")
	also, bad := []string{"var", "etc"}, 2
	if os.Getuid() == 0 {
		l.Ours("root/keep", "x")
		also, bad = append(also, "root"), 3
	}
	l.pass.Master = &lying{l.pass.Master, also}
	l.run(bad)
	for _, name := range also {
		l.There(name + "/keep")
	}
	if told := l.Told(); strings.Contains(told, "destroyedComputerPartition") {
		t.Error(told)
	}
}

// TestTaken leaves a partition alone with which another does something, and what it used too.
func TestTaken(t *testing.T) {
	l := newLab(t, 1)
	l.ask("one", "", proto.Started)
	l.Put("p0", "var/xml_report/left", consumption("cpu", "7"), 0o640)
	l.ask("one", "", proto.Destroyed)
	var asked []string
	l.pass.Take = func(id string) (func(), bool) { asked = append(asked, id); return nil, false }
	l.run(0)
	l.There("p0/var/xml_report/left")
	if told := l.Told(); told != "" || len(asked) != 2 {
		t.Errorf(`told = %v, asked = %v; want told == "" and len(asked) == 2`, told, asked)
	}
	taken := 0
	l.pass.Take = func(string) (func(), bool) { taken++; return func() { taken-- }, taken == 1 }
	l.run(0)
	l.Gone("p0/var")
	if taken != 0 {
		t.Error("it is not free again")
	}
}
