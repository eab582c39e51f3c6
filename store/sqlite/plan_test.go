package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slap"
)

// TestSlapPlans: what is asked of a SlapOS master's records is found by an index, whatever else would spare a sort: with a hundred thousand instances the rest is hopeless.
func TestSlapPlans(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for want, q := range map[string]slap.EntryQuery{
		"slap_name": {Name: "x"}, "slap_place": {Place: "x"}, "slap_tree": {Tree: "x"}, "slap_host": {Host: "x"}, "slap_computer": {Computer: "x"},
	} {
		q.Kind = slap.KindInstance
		text, args := slapQuery(q)
		var plan []string
		if err := s.View(t.Context(), func(view compute.Tx) (err error) {
			plan, err = collect(view.(*tx), func(s scanner) (line string, err error) {
				var a, b, c int64
				return line, s.Scan(&a, &b, &c, &line)
			}, "EXPLAIN QUERY PLAN "+text, args...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(plan, "; "); !strings.Contains(all, "INDEX "+want+" ") {
			t.Errorf("%+v is answered so: %s", q, all)
		}
	}
}
