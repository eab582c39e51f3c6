package master

import (
	"context"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/slapos/master/ledger"
)

// An Act is the outcome of a request, for a caller that keeps a record of requests.
type Act struct {
	Who   Who
	Thing string // the subject: a title, a place, a release
	// something changed by it, here or at another master; a status report is no change
	Changed bool
}

type actKey struct{}

// WithAct has what becomes of a request that is made with the context noted in a.
func WithAct(ctx context.Context, a *Act) context.Context { return context.WithValue(ctx, actKey{}, a) }

// NoteWho notes the caller of a request.
func NoteWho(ctx context.Context, who Who) {
	if a, ok := ctx.Value(actKey{}).(*Act); ok {
		a.Who = who
	}
}

// changed notes that a request has changed something.
func changed(ctx context.Context) {
	if a, ok := ctx.Value(actKey{}).(*Act); ok {
		a.Changed = true
	}
}

// NoteAbout notes what a request is about: a title, a place, a release.
func NoteAbout(ctx context.Context, words ...string) {
	if a, ok := ctx.Value(actKey{}).(*Act); ok {
		a.Thing = Words(words...)
	}
}

// Words is words in a row, without those that are "".
func Words(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// Counts are the numbers of a master's records.
type Counts struct {
	Computers, Partitions, Busy int // of partitions, those that have an instance
	Shared, Waiting             int // instances that are shared; and those that have no place
}

// Counts counts.
func (m *Master) Counts(ctx context.Context) (c Counts, err error) {
	if err := m.Ledger.Fresh(ctx); err != nil {
		return c, err
	}
	mem, done := m.Ledger.Look()
	defer done()
	for _, of := range mem.Computers {
		if of.Record != nil {
			c.Computers++
			c.Partitions += len(of.Record.Partitions)
		}
	}
	for _, n := range mem.ByID {
		switch {
		case n.Partition != "":
			c.Busy++
		case !ledger.Placed(n):
			c.Waiting++
		}
		if n.Shared {
			c.Shared++
		}
	}
	return c, nil
}
