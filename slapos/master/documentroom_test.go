package master_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// TestPlacedWhereItCanBeTold: what is large goes to a computer of which the node can be told of it,
// though another has more partitions free; where there is none it is refused.
func TestPlacedWhereItCanBeTold(t *testing.T) {
	r := newRig(t, master.Options{})
	r.format("FULL", 150)
	r.format("ROOM", 3)
	large := proto.Dictionary{"k": strings.Repeat("\u07ff", 36000)}
	ask := func(title, on string) (*master.Answer, error) {
		q := &proto.Request{Title: title, Release: demo, Parameters: large}
		if on != "" {
			q.Filter = proto.Dictionary{"computer_guid": on}
		}
		return r.Requests.Request(t.Context(), access.Anybody, q)
	}
	for i := 0; ; i++ {
		if _, err := ask(fmt.Sprint("fills", i), "FULL"); err != nil {
			if !strings.Contains(err.Error(), "Too much would be on FULL") || i < 10 || i > 100 {
				t.Fatalf(`i = %v, err = %v; want err.Error() with "Too much would be on FULL" and i >= 10 and i <= 100`, i, err)
			}
			break
		}
	}
	r.ask(proto.Request{Title: "one", Filter: proto.Dictionary{"computer_guid": "ROOM"}})
	r.ask(proto.Request{Title: "two", Filter: proto.Dictionary{"computer_guid": "ROOM"}})
	if small := r.ask(proto.Request{Title: "small"}); small.Computer != "FULL" {
		t.Errorf("what is small is on %s, and FULL has the most partitions", small.Computer)
	}
	if a, err := ask("large", ""); err != nil || a.Computer != "ROOM" {
		t.Errorf(`a = %+v, err = %v; want no error and a.Computer == "ROOM"`, a, err)
	}
	if _, err := ask("another", ""); err == nil || !strings.Contains(err.Error(), "Too much would be on FULL") {
		t.Errorf("without room: %v", err)
	}
}

// reads counts how often all that is on a computer is read in transactions that write.
type reads struct {
	store.Transactor
	whole atomic.Int64
}

type readTx struct {
	store.Tx
	of *reads
}

func (s *reads) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.Transactor.Update(ctx, func(tx store.Tx) error { return fn(readTx{tx, s}) })
}

func (tx readTx) SlapEntries(q store.SlapQuery) ([]store.SlapEntry, error) {
	if q.Kind == record.KindInstance && q.Computer != "" {
		tx.of.whole.Add(1)
	}
	return tx.Tx.SlapEntries(q)
}

// TestHostsAreLookedForOnce: shared instances whose host goes look for another one without reading
// all that is on the computer for each.
func TestHostsAreLookedForOnce(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	counted := &reads{Transactor: st}
	r := &rig{openOn(t, counted, master.Options{Computer: "C"}), t}
	r.format("C", 3)
	first := r.ask(proto.Request{Title: "host"})
	for i := range 30 {
		r.ask(proto.Request{Title: fmt.Sprint("shared", i), Shared: true})
	}
	r.ask(proto.Request{Title: "host", State: proto.Destroyed})
	counted.whole.Store(0)
	if _, err := r.Instances.InstanceDestroyed(t.Context(), access.Anybody, "C", first.Partition); err != nil {
		t.Fatal(err)
	}
	if n := counted.whole.Load(); n > 2 {
		t.Errorf("the computer is read %d times for 30 shared instances", n)
	}
	// What a transaction has read of a computer is true after it has changed it: they find the next
	// host.
	next := r.ask(proto.Request{Title: "next"})
	if has := r.partition("C", next.Partition).Shared; len(has) != 30 {
		t.Errorf("%d of 30 have come to the next host", len(has))
	}
	other := r.ask(proto.Request{Title: "other"})
	r.ask(proto.Request{Title: "next", Release: "https://software.example/other/software.cfg"})
	if has := r.partition("C", other.Partition).Shared; len(has) != 30 {
		t.Errorf("%d of 30 have gone to the other host", len(has))
	}
}

// TestPartitionsAreBounded: a computer has no more partitions than are held; more of them change
// nothing.
func TestPartitionsAreBounded(t *testing.T) {
	r := newRig(t, master.Options{})
	format := func(n int) error {
		c := &record.Computer{GUID: "C"}
		for i := range n {
			c.Partitions = append(c.Partitions, record.Partition{ID: fmt.Sprint("p", i)})
		}
		return r.Computers.FormatAs(t.Context(), access.Anybody, c)
	}
	if err := format(10_000); err != nil {
		t.Fatal(err)
	}
	if err := format(10_001); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "no more than 10000 partitions, and not 10001") {
		t.Error(err)
	}
	all, err := r.Computers.All(t.Context(), access.Anybody)
	if err != nil || len(all) != 1 || len(all[0].Partitions) != 10_000 {
		t.Errorf("%d computers, %v", len(all), err)
	}
}
