package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// TestRecorded tells the master of two partitions' use what the reference's node told it, but for
// what a partition left empty: there it says None.
func TestRecorded(t *testing.T) {
	l := newLab(t, 2)
	l.ask("one", "", proto.Started)
	l.ask("two", "", proto.Started)
	for _, id := range []string{"p0", "p1"} {
		l.Put(id, "var/xml_report/x", consumption("cpu", "42.42"), 0o640)
	}
	l.pass.Now = func() time.Time { return time.Date(2026, 11, 20, 7, 17, 37, 0, time.UTC) }
	l.run(0)
	said, err := l.Master.Usage.Last(l.Context(), access.Anybody, "C", 1)
	do(t, err)
	ours, err := proto.ParseUsage(said[0].Report)
	do(t, err)
	for _, e := range slaptest.Exchanges(t, "node") {
		if !strings.HasPrefix(e.Step, "g18") || !strings.HasSuffix(e.Path, "/useComputer") {
			continue
		}
		text := strings.NewReplacer(
			"<VAT>None</VAT>", "<VAT/>", "<category>None</category>", "<category/>", "COMP-LAB", "C", "slappart", "p",
		).Replace(e.Form().Get("use_string"))
		theirs, err := proto.ParseUsage(text)
		do(t, err)
		if d := cmp.Diff(theirs, ours); d != "" {
			t.Error(d)
		}
		return
	}
	t.Error("there is no such recording")
}
