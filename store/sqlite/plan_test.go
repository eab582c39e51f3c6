package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// TestSlapPlans: what is asked of a SlapOS master's records is found by an index, whatever else
// would spare a sort: with a hundred thousand instances the rest is hopeless.
func TestSlapPlans(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	explain := func(text string, args ...any) (lines []string) {
		t.Helper()
		if err := s.View(t.Context(), func(view store.Tx) (err error) {
			lines, err = collect(view.(*tx), func(s scanner) (line string, err error) {
				var a, b, c int64
				return line, s.Scan(&a, &b, &c, &line)
			}, "EXPLAIN QUERY PLAN "+text, args...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	for want, q := range map[string]store.SlapQuery{
		"slap_name": {Name: "x"}, "slap_place": {Place: "x"}, "slap_tree": {Tree: "x"}, "slap_host": {Host: "x"},
		"slap_computer": {Computer: "x"},
	} {
		q.Kind = record.KindInstance
		text, args := slapQuery(q)
		if all := strings.Join(explain(text, args...), "; "); !strings.Contains(all, "INDEX "+want+" ") {
			t.Errorf("%+v is answered so: %s", q, all)
		}
	}
	if all := strings.Join(explain(slapSince, int64(7)), "; "); !strings.Contains(all, "INDEX slap_revision ") ||
		strings.Contains(all, "TEMP B-TREE") {
		t.Errorf("what has changed is answered so: %s", all)
	}
}

// TestSlapSince: what was changed last is found without a look at what was changed before. The
// program of the query says where it begins: at what it is given, and not at 0.
func TestSlapSince(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	type step struct {
		op         string
		p1, p2, p3 int64
	}
	var steps []step
	if err := s.View(t.Context(), func(view store.Tx) (err error) {
		steps, err = collect(view.(*tx), func(s scanner) (st step, err error) {
			var addr, p5 int64
			var p4, comment []byte
			return st, s.Scan(&addr, &st.op, &st.p1, &st.p2, &st.p3, &p4, &p5, &comment)
		}, "EXPLAIN "+slapSince, int64(7))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	given := map[int64]bool{} // registers
	seeks := 0
	for _, st := range steps {
		switch {
		case st.op == "Variable":
			given[st.p2] = true
		case strings.HasPrefix(st.op, "Seek") && st.op != "SeekScan":
			if seeks++; !given[st.p3] {
				t.Errorf("it begins elsewhere: %+v", steps)
			}
		}
	}
	if seeks == 0 {
		t.Errorf("it looks for nothing: %+v", steps)
	}
}
