package applied

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// A thing is stored as two notes: its description, and its files, so that a list does not read
// these.
const (
	revisionNote = "applied:revision"
	headPrefix   = "applied:head:"
	filesPrefix  = "applied:files:"
)

// Caller is the user that applies something.
type Caller struct {
	Name string
	May  bool // may apply things that run programs on this machine, or read its files
}

// Candidate is what would be in force after a change.
type Candidate struct {
	Things  []api.AppliedThing // everything that would be applied
	Changes []Change
	Caller  Caller
}

// Options join a book to its surroundings. Store is required.
type Options struct {
	Store store.Transactor
	// Check returns an error if a candidate must not be in force; then nothing changes. Its notes
	// are shown with changes, by ID. nil: everything is accepted.
	Check func(ctx context.Context, c Candidate) (notes map[string]string, warnings []string, err error)
	// Changed is called after the store was changed, before the caller is answered. Its error is
	// returned, and the change stays. nil: not called.
	Changed func(ctx context.Context) error
	Step    func(step string) // as Mirror.Step
}

// Store applies things. All methods may be called concurrently.
type Store struct{ Options }

// New returns a book on a store.
func New(opt Options) *Store { return &Store{opt} }

// point identifies a state of the applied things: its revision, and a mark that is unique even
// after an older state of the store was restored.
type point struct {
	revision int64 // 0: nothing was ever applied
	mark     string
}

// pointOf reads the point of a state; the zero point: nothing was ever applied.
func pointOf(tx store.Tx) (p point, err error) {
	p.mark, err = tx.Note(revisionNote)
	if errors.Is(err, compute.ErrNotFound) {
		return point{}, nil
	}
	if err != nil {
		return p, err
	}
	number, rest, _ := strings.Cut(p.mark, "-")
	if p.revision, err = strconv.ParseInt(number, 10, 64); err != nil || strings.Trim(rest, "0123456789") != "" {
		err = fmt.Errorf("the revision of what was applied, in the state, is %q: a number is expected", p.mark)
	}
	return p, err
}

// latest returns the newest point of a store.
func latest(ctx context.Context, s store.Transactor) (out point, err error) {
	err = s.View(ctx, func(tx store.Tx) error {
		out, err = pointOf(tx)
		return err
	})
	return out, err
}

// Read returns everything in a store, by kind and name, with or without files.
func Read(ctx context.Context, s store.Transactor, files bool) (api.AppliedSet, error) {
	set, _, err := read(ctx, s, files)
	return set, err
}

// read is Read that also returns the point of the state.
func read(ctx context.Context, s store.Transactor, files bool) (out api.AppliedSet, at point, err error) {
	err = s.View(ctx, func(tx store.Tx) (err error) {
		out = api.AppliedSet{Things: []api.AppliedThing{}}
		at, err = pointOf(tx)
		if out.Revision = at.revision; err != nil || out.Revision == 0 {
			return err
		}
		heads, err := tx.Notes(headPrefix)
		if err != nil {
			return err
		}
		bodies := map[string]string{}
		if files {
			if bodies, err = tx.Notes(filesPrefix); err != nil {
				return err
			}
		}
		for name, text := range heads {
			var t api.AppliedThing
			if err := json.Unmarshal([]byte(text), &t); err != nil {
				return fmt.Errorf("what was applied, in the state: %s: %w", name, err)
			}
			if files {
				if err := json.Unmarshal([]byte(bodies[filesPrefix+name[len(headPrefix):]]), &t.Files); err != nil {
					return fmt.Errorf("what was applied, in the state: the files of %s: %w", ID(t.Kind, t.Name), err)
				}
			}
			out.Things = append(out.Things, t)
		}
		slices.SortFunc(out.Things, byName)
		return nil
	})
	return out, at, err
}

// Get returns one thing with its files. A missing one is compute.ErrNotFound.
func (b *Store) Get(ctx context.Context, kind, name string) (t api.AppliedThing, err error) {
	if err := checkName(kind, name); err != nil {
		return t, err
	}
	err = b.Store.View(ctx, func(tx store.Tx) error {
		head, err := tx.Note(headPrefix + kind + "/" + name)
		if errors.Is(err, compute.ErrNotFound) {
			return &compute.Error{
				ID: compute.ID(ID(kind, name)), Kind: compute.ErrNotFound,
				Err: errors.New("nothing of this name was applied"),
			}
		}
		if err != nil {
			return err
		}
		files, err := tx.Note(filesPrefix + kind + "/" + name)
		if err == nil {
			err = errors.Join(json.Unmarshal([]byte(head), &t), json.Unmarshal([]byte(files), &t.Files))
		}
		return err
	})
	return t, err
}

// List returns the things that have all of the labels, without files.
func (b *Store) List(ctx context.Context, labels map[string]string) (api.AppliedSet, error) {
	set, err := Read(ctx, b.Store, false)
	set.Things = slices.DeleteFunc(set.Things, func(t api.AppliedThing) bool { return !hasAll(t.Labels, labels) })
	return set, err
}

// Apply changes the applied things to what a set says, in one transaction: all of it, or nothing
// and an error. A set that changes nothing writes nothing.
func (b *Store) Apply(ctx context.Context, who Caller, set api.ApplySet) (api.ApplyAnswer, error) {
	out, _, err := b.change(ctx, who, set.DryRun, set.Diff, func(there []api.AppliedThing) ([]Change, error) { return plan(there, set) })
	return out, err
}

// Match is the expected state of a thing that is to be changed. The zero Match expects nothing.
type Match struct {
	Revision int64 // it is at this revision; 0: any
	None     bool  // it does not exist
}

// check returns a compute.ErrStale if a thing is not as expected; was is nil if it does not exist.
func (m Match) check(id string, was *api.AppliedThing) error {
	var err error
	switch {
	case m.None && was != nil:
		err = fmt.Errorf("it is there already, at revision %d", was.Revision)
	case m.Revision != 0 && was == nil:
		err = fmt.Errorf("it is not there any more, and was to be at revision %d", m.Revision)
	case m.Revision != 0 && m.Revision != was.Revision:
		err = fmt.Errorf("it is at revision %d, and was to be at %d", was.Revision, m.Revision)
	default:
		return nil
	}
	return &compute.Error{ID: compute.ID(id), Kind: compute.ErrStale, Err: err, Hint: "look at it again, and decide anew"}
}

// Put changes one thing; it has exactly the given labels.
func (b *Store) Put(ctx context.Context, who Caller, kind, name string, put api.PutThing, match Match) (api.AppliedThing, error) {
	if err := errors.Join(checkName(kind, name), checkLabels(put.Labels)); err != nil {
		return api.AppliedThing{}, err
	}
	_, there, err := b.change(ctx, who, false, false, func(there []api.AppliedThing) ([]Change, error) {
		was := find(there, kind, name)
		if err := match.check(ID(kind, name), was); err != nil {
			return nil, err
		}
		now, err := normal(api.WantedThing{Kind: kind, Name: name, Files: put.Files})
		if err != nil {
			return nil, err
		}
		c := change(was, &now, put.Labels)
		if len(put.Labels) == 0 && was != nil && len(was.Labels) > 0 {
			now.Labels = map[string]string{}
			c = Change{Changed, was, &now}
		}
		return []Change{c}, nil
	})
	if t := find(there, kind, name); t != nil {
		return *t, err
	}
	return api.AppliedThing{}, err
}

// Delete removes one thing. A missing one is compute.ErrNotFound.
func (b *Store) Delete(ctx context.Context, who Caller, kind, name string, match Match) error {
	if err := checkName(kind, name); err != nil {
		return err
	}
	_, _, err := b.change(ctx, who, false, false, func(there []api.AppliedThing) ([]Change, error) {
		was := find(there, kind, name)
		if was == nil {
			return nil, &compute.Error{
				ID: compute.ID(ID(kind, name)), Kind: compute.ErrNotFound,
				Err: errors.New("nothing of this name was applied"),
			}
		}
		return []Change{{Action: Pruned, Was: was}}, match.check(ID(kind, name), was)
	})
	return err
}

// find returns a thing of a list; nil: it is not there.
func find(all []api.AppliedThing, kind, name string) *api.AppliedThing {
	for i := range all {
		if all[i].Kind == kind && all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// tries is how often a change is computed again when others write meanwhile.
const tries = 10

// change computes changes, checks them, and writes them if nobody else has written meanwhile;
// otherwise it starts again. there is the resulting state.
func (b *Store) change(
	ctx context.Context, who Caller, dry, diff bool, plan func([]api.AppliedThing) ([]Change, error),
) (out api.ApplyAnswer, there []api.AppliedThing, err error) {
	for range tries {
		set, at, err := read(ctx, b.Store, true)
		if err != nil {
			return out, nil, err
		}
		changes, err := plan(set.Things)
		if err != nil {
			return out, nil, err
		}
		there = after(set.Things, changes)
		if len(there) > maxObjects {
			return out, nil, invalid("", "", "%d things would be applied, more than %d", len(there), maxObjects)
		}
		var notes map[string]string
		var warnings []string
		if b.Check != nil {
			if notes, warnings, err = b.Check(ctx, Candidate{there, changes, who}); err != nil {
				return out, nil, err
			}
		}
		out = api.ApplyAnswer{Revision: set.Revision, DryRun: dry, Changes: []api.ThingChange{}, Warnings: append([]string{}, warnings...)}
		for _, c := range changes {
			t := c.Thing()
			line := api.ThingChange{Kind: t.Kind, Name: t.Name, Action: c.Action, Note: notes[ID(t.Kind, t.Name)]}
			if diff {
				line.Diff = difference(c.Was, c.Now)
			}
			out.Changes = append(out.Changes, line)
		}
		if dry || idle(changes) {
			return out, there, nil
		}
		next, err := b.write(ctx, who, at, changes)
		if errors.Is(err, compute.ErrStale) {
			continue
		}
		if err != nil {
			return out, nil, err
		}
		out.Revision, there = next, after(there, changes)
		if b.Changed != nil {
			if err := b.Changed(ctx); err != nil {
				return out, there, fmt.Errorf("it is kept, and not in force here yet: %w", err)
			}
		}
		return out, there, nil
	}
	return out, nil, &compute.Error{
		Kind: compute.ErrConflict, Err: errors.New("others change what is applied all the time"), Hint: "try again",
	}
}

// write writes changes to the state at a point in one transaction, and returns the new revision.
// compute.ErrStale: the state has changed.
func (b *Store) write(ctx context.Context, who Caller, was point, changes []Change) (next int64, err error) {
	at := time.Now().UTC()
	err = b.Store.Update(ctx, func(tx store.Tx) error {
		now, err := pointOf(tx)
		if err != nil {
			return err
		}
		if now != was {
			return &compute.Error{Op: "applied.Apply", Kind: compute.ErrStale}
		}
		next = was.revision + 1
		b.step("begun")
		for _, c := range changes {
			key := c.Thing().Kind + "/" + c.Thing().Name
			switch {
			case c.Action == Unchanged:
				continue
			case c.Now == nil:
				err = errors.Join(tx.SaveNote(headPrefix+key, ""), tx.SaveNote(filesPrefix+key, ""))
			default:
				c.Now.Revision, c.Now.By, c.Now.At = next, who.Name, at
				err = save(tx, key, *c.Now)
			}
			if err != nil {
				return err
			}
			b.step("saved")
		}
		return tx.SaveNote(revisionNote, fmt.Sprintf("%d-%d", next, at.UnixNano()))
	})
	b.step("written")
	return next, err
}

func (b *Store) step(name string) {
	if b.Step != nil {
		b.Step(name)
	}
}

// save writes the two notes of a thing.
func save(tx store.Tx, key string, t api.AppliedThing) error {
	files, err := json.Marshal(t.Files)
	if err != nil {
		return err
	}
	t.Files = nil
	head, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return errors.Join(tx.SaveNote(headPrefix+key, string(head)), tx.SaveNote(filesPrefix+key, string(files)))
}
