package master

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestDocumentCache: documents beyond what is kept are given up, the oldest first.
func TestDocumentCache(t *testing.T) {
	var s ledger.DocumentCache
	var all []*ledger.Document
	for range 5 {
		d := &ledger.Document{}
		s.Put(d, make([]byte, ledger.MaxDocumentCache/3))
		all = append(all, d)
	}
	for i, d := range all {
		if kept := d.Body.Load() != nil; kept != (i >= 2) {
			t.Errorf("document %d is kept: %t", i, kept)
		}
	}
	if s.Size > ledger.MaxDocumentCache || len(s.All) != 3 {
		t.Errorf("%d documents of %d bytes are kept", len(s.All), s.Size)
	}
	// one that is too large by itself is kept until the next comes
	s.Put(&ledger.Document{}, make([]byte, 2*ledger.MaxDocumentCache))
	if len(s.All) != 1 {
		t.Errorf("%d are kept", len(s.All))
	}
}

// TestGivenUp: a node is told the same whether what it was told is still kept or not, and hears
// that it has it by the tag alone.
func TestGivenUp(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	m, err := New(t.Context(), Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Computers.Format(
		t.Context(), access.Anybody, &proto.Configuration{Computer: "C", Partitions: []proto.ConfiguredPartition{{ID: "p"}}},
	); err != nil {
		t.Fatal(err)
	}
	body, tag, err := m.Computers.Information(t.Context(), access.Anybody, "C")
	if err != nil {
		t.Fatal(err)
	}
	mem, done := m.Ledger.RLock()
	mem.Computers["C"].Document.Load().Body.Store(nil)
	done()
	if none, same, err := m.Computers.InformationUnless(t.Context(), access.Anybody, "C", tag); err != nil || none != nil || same != tag {
		t.Errorf("who has it is told %q %s, %v", none, same, err)
	}
	again, same, err := m.Computers.Information(t.Context(), access.Anybody, "C")
	if err != nil || !bytes.Equal(again, body) || same != tag {
		t.Errorf("again it is %q %s, %v, and was %q %s", again, same, err, body, tag)
	}
}

// TestWaiting: one who asks for what has no place does not fill the memory, nor take the place of
// others.
func TestWaiting(t *testing.T) {
	l := ledger.New(nil, nil, nil)
	m, done := l.RLock()
	defer done()
	n := &record.Instance{Owner: "a", Project: "p"}
	for range maxWaiting {
		m.Count(n, 1)
	}
	full := (&allocation{ledger: l}).tooManyWait
	if !full(nil, n) || full(nil, &record.Instance{Owner: "b", Project: "p"}) ||
		full(nil, &record.Instance{Owner: "a"}) {
		t.Error("it is not counted by user")
	}
	m.Count(n, -1)
	m.Count(&record.Instance{Owner: "a", Project: "p", Shared: true, Placement: record.Placement{Host: "h"}}, 1)
	m.Count(&record.Instance{Owner: "a", Project: "p", Placement: record.Placement{Partition: "x"}}, 1)
	if full(nil, n) {
		t.Error("what has a place is counted")
	}
}
