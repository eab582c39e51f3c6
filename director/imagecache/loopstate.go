package imagecache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/store"
)

// Store keeps what a Loop remembers, for all processes that use it.
type Store = store.Transactor

// The names of our notes.
const (
	nodeNote      = "director.metal:node:" // and the node's id
	seenNote      = "director.metal:seen"
	confirmedNote = "director.metal:confirmed"
	limitsNote    = "director.metal:limits"
	askedNote     = "director.metal:asked"
	alarmsNote    = "director.metal:alarms"
)

// lastFleet is what the services said last, for the next comparison, and what has gone.
type lastFleet struct {
	Nodes   int             `json:"nodes"`
	Images  []metal.Image   `json:"images"`
	Flavors []string        `json:"flavors"`
	Retired []metal.Retired `json:"retired,omitempty"`
}

// same reports whether o need not be stored again.
func (s *lastFleet) same(o *lastFleet) bool {
	image := func(a, b metal.Image) bool { return a.ID == b.ID && a.Name == b.Name && a.Checksum == b.Checksum }
	return s != nil && s.Nodes == o.Nodes && slices.EqualFunc(s.Images, o.Images, image) && slices.Equal(s.Flavors, o.Flavors) &&
		slices.EqualFunc(s.Retired, o.Retired, func(a, b metal.Retired) bool { return a.ID == b.ID })
}

// Confirmation is a person's permission for what the guards hold back. It lets so many nodes be
// ejected until a time, in all rounds together. It lets lists that have shrunk be believed.
type Confirmation struct {
	Ejections int       `json:"ejections"`
	Shrunk    bool      `json:"shrunk"`
	Until     time.Time `json:"until"`
}

// ejectAllowance returns how many nodes beyond the guard's limit may still be ejected.
func (c *Confirmation) ejectAllowance(now time.Time) int {
	if !c.Until.After(now) {
		return 0
	}
	return max(0, c.Ejections)
}

// state is all that is remembered.
type state struct {
	flights   map[string]*NodeRecord // by node
	seen      *lastFleet             // nil: nothing was seen yet
	confirmed Confirmation
}

// records reads and writes the state in the store.
type records struct{ store store.Transactor }

func (b records) update(ctx context.Context, fn func(tx store.Tx) error) error {
	return b.store.Update(ctx, fn)
}

func (b records) view(ctx context.Context, fn func(store.Tx) error) error {
	return b.store.View(ctx, fn)
}

// read returns the whole state.
func (b records) read(ctx context.Context) (s *state, err error) {
	err = b.view(ctx, func(n store.Tx) error {
		s = &state{flights: map[string]*NodeRecord{}}
		texts, err := n.Notes(nodeNote)
		if err != nil {
			return err
		}
		for name, text := range texts {
			f := &NodeRecord{}
			if err := store.DecodeNote(name, text, f); err != nil {
				return err
			}
			s.flights[f.Node] = f
		}
		if _, err := store.ReadNote(n, confirmedNote, &s.confirmed); err != nil {
			return err
		}
		last := &lastFleet{}
		ok, err := store.ReadNote(n, seenNote, last)
		if ok {
			s.seen = last
		}
		return err
	})
	return s, err
}

// errTaken says that a node is commanded by another process, or must be left alone.
var errTaken = &compute.Error{
	Op: "caching.begin", Kind: compute.ErrConflict,
	Err: errors.New("a directive is under way already, or the node is left alone after failures"),
}

// begin records a directive that is about to be issued, and writes it into the journal. It returns
// errTaken if the node must not be commanded: another process on this store may be faster.
func (b records) begin(ctx context.Context, f *NodeRecord, reason string) error {
	return b.update(ctx, func(tx store.Tx) error {
		old := NodeRecord{}
		ok, err := store.ReadNote(tx, nodeNote+f.Node, &old)
		if err != nil {
			return err
		}
		if ok && (old.State != failed || f.Begun.Before(old.Until)) {
			return errTaken
		}
		f.Failures, f.Error = old.Failures, old.Error
		_, err = tx.Append(&compute.Event{Time: f.Begun, Kind: "directive", Text: reason, Data: f.data()})
		return errors.Join(err, store.WriteNote(tx, nodeNote+f.Node, f))
	})
}

// data describes the directive for the journal.
func (f *NodeRecord) data() map[string]string {
	data := map[string]string{"do": string(f.Do), "node": f.Node}
	for key, v := range map[string]string{"name": f.Name, "flavor": f.Flavor, "image": f.Image, "image_name": f.Title} {
		if v != "" {
			data[key] = v
		}
	}
	return data
}

// outcome is the result of a record.
type outcome struct {
	old, now NodeRecord
	fate     nodeOutcome
	rest     *NodeRecord // what is remembered of it; nil: nothing
}

// kinds are the journal's names of outcomes. The others are not worth an entry.
var kinds = map[nodeOutcome]string{done: "directive-done", foiled: "directive-failed", lost: "directive-lost", refused: "directive-lost"}

// record stores outcomes. It skips those whose record has changed since it was read: another
// process has dealt with them.
func (b records) record(ctx context.Context, at time.Time, all []outcome) error {
	if len(all) == 0 {
		return nil
	}
	return b.update(ctx, func(tx store.Tx) error {
		for i := range all {
			o := &all[i]
			there := NodeRecord{}
			ok, err := store.ReadNote(tx, nodeNote+o.old.Node, &there)
			if err != nil {
				return err
			}
			if !ok || !there.same(&o.old) {
				continue
			}
			kind := kinds[o.fate]
			if o.now.Quarantined() && !o.old.Quarantined() {
				kind = "quarantined"
				told := compute.Event{
					Time: at, Kind: "alarm",
					Text: fmt.Sprintf("%s is left alone after %d failures: %s", label(o.now.Node, o.now.Name), o.now.Failures, o.now.Error),
					Data: o.now.data(),
				}
				told.Data["alarm"] = AlarmQuarantine
				if _, err := tx.Append(&told); err != nil {
					return err
				}
			}
			if kind != "" {
				text := o.now.Error
				if o.fate == done || o.fate == lost {
					text = "" // it is of failures before
				}
				if _, err := tx.Append(&compute.Event{Time: at, Kind: kind, Text: text, Data: o.now.data()}); err != nil {
					return err
				}
			}
			if o.rest == nil {
				err = tx.SaveNote(nodeNote+o.old.Node, "")
			} else {
				err = store.WriteNote(tx, nodeNote+o.old.Node, o.rest)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// same reports whether two records are of the same directive, and of the same moment of it.
func (f *NodeRecord) same(o *NodeRecord) bool {
	return f.State == o.State && f.Do == o.Do && f.Image == o.Image && f.Failures == o.Failures && f.Begun.Equal(o.Begun)
}

// forget drops what is remembered of nodes: failures, quarantine, and directives under way.
func (b records) forget(ctx context.Context, nodes []string) error {
	return b.update(ctx, func(tx store.Tx) error {
		for _, node := range nodes {
			if err := tx.SaveNote(nodeNote+node, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// save stores v as JSON under a name.
func (b records) save(ctx context.Context, name string, v any) error {
	return b.update(ctx, func(tx store.Tx) error { return store.WriteNote(tx, name, v) })
}
