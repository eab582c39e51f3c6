package runlog_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/runlog"
)

// What one process records of a run, another goes on with, also over the borders of the pieces in
// which outputs are kept.
func TestResume(t *testing.T) {
	l := &runlog.Log{Dir: filepath.Join(t.TempDir(), "runs"), First: 4, Rest: 64}
	whole := ""
	for _, first := range []string{"", "abc", "abcd", "abcdefgh", "abcdefghi"} {
		run := begin(t, l, runlog.Record{})
		s := run.Stream("stdout")
		_, _ = s.Write([]byte(first))
		if _, err := l.Resume(run.ID()); !errors.Is(err, compute.ErrConflict) {
			t.Errorf("one that is recorded: %v", err)
		}
		if err := l.SetShown(run.ID(), 1, 2); err != nil {
			t.Error(err)
		}
		run.Leave()
		if rec, err := l.Find(run.ID()); err != nil || rec.State != runlog.Held || rec.Ended != nil || l.Recorded(run.ID()) {
			t.Errorf("left: %+v, %v", rec, err)
		}
		if out, errs, ok := l.Shown(run.ID()); !ok || out != 1 || errs != 2 {
			t.Errorf("shown: %d, %d, %v", out, errs, ok)
		}
		whole = first
		for range 3 {
			next, err := l.Resume(run.ID())
			if err != nil {
				t.Fatal(err)
			}
			s := next.Stream("stdout")
			if s.Bytes() != int64(len(whole)) || !l.Recorded(run.ID()) {
				t.Errorf("after %q it goes on at %d", whole, s.Bytes())
			}
			_, _ = s.Write([]byte("+12"))
			whole += "+12"
			_, _ = next.Stream("stderr").Write([]byte("!"))
			next.Leave()
		}
		next, err := l.Resume(run.ID())
		if err != nil {
			t.Fatal(err)
		}
		end(next, 3)
		rec, err := l.Find(run.ID())
		if got := text(t, l, run.ID(), "stdout"); got != whole || err != nil || rec.State != runlog.Ended || *rec.Exit != 3 {
			t.Errorf("%q, want %q; %+v %v", got, whole, rec, err)
		}
		if got := text(t, l, run.ID(), "stderr"); got != strings.Repeat("!", 3) {
			t.Errorf("stderr: %q", got)
		}
		if _, err := l.Resume(run.ID()); !errors.Is(err, compute.ErrConflict) {
			t.Errorf("one that has ended: %v", err)
		}
	}
	if _, err := l.Resume("zzzzzzzz"); err == nil {
		t.Error("one that is not there")
	}
}
