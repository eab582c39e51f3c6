package cloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/store"
)

// The states of a recorded server.
const (
	creating   = "creating"   // recorded; the cloud is being asked
	made       = "made"       // it runs, or did
	destroying = "destroying" // it is to go
)

// record is what the store knows of a server. It exists from before the cloud is asked for the
// server until the server is known to be gone. It has no secrets.
type record struct {
	State  string        `json:"state"`
	Owner  int64         `json:"owner"` // the worker that has it; 0: none
	Begun  proc.Reading  `json:"begun"`
	Name   string        `json:"name"`
	ID     string        `json:"id,omitempty"` // the provider's
	IP     string        `json:"ip,omitempty"`
	OS     string        `json:"os"`
	Login  Login         `json:"login"`
	Flavor Flavor        `json:"flavor"`
	Disk   int           `json:"disk"`
	TTD    time.Duration `json:"ttd,omitempty"`
	Head   bool          `json:"head,omitempty"`
	Told   bool          `json:"told,omitempty"` // its boot script makes the sentinel

	// the cloud has answered: its own count has the server, and nothing is reserved for it
	Answered bool `json:"answered,omitempty"`

	Bad   *badState `json:"bad,omitempty"`
	Marks int       `json:"marks,omitempty"` // the number of changes of Bad

	Script        string `json:"script,omitempty"`
	DestroyScript string `json:"destroy_script,omitempty"`
	Files         []File `json:"files,omitempty"`
	SharedDisk    bool   `json:"shared_disk,omitempty"`
}

// recordStore keeps the records of one resource.
type recordStore struct {
	store    Store
	resource string
}

func (b recordStore) prefix() string         { return "cloud:" + b.resource + ":server:" }
func (b recordStore) key(name string) string { return b.prefix() + name }
func (b recordStore) deploymentKey() string  { return "cloud:" + b.resource + ":deployment" }
func (b recordStore) tearingDownKey() string { return "cloud:" + b.resource + ":tearing-down" }

func (b recordStore) update(ctx context.Context, fn func(store.Tx) error) error {
	return b.store.Update(ctx, fn)
}

// all returns the records by name.
func (b recordStore) all(ctx context.Context) (out map[string]record, err error) {
	err = b.store.View(ctx, func(tx store.Tx) error {
		out, err = b.read(tx)
		return err
	})
	return out, err
}

// read returns all records by the name of their server.
func (b recordStore) read(tx store.Tx) (map[string]record, error) {
	texts, err := tx.Notes(b.prefix())
	if err != nil {
		return nil, err
	}
	out := map[string]record{}
	for key, text := range texts {
		var r record
		if err := store.DecodeNote(key, text, &r); err != nil {
			return nil, err
		}
		out[r.Name] = r
	}
	return out, nil
}

// add records a server before the cloud is asked for it. The first server that is reachable from
// outside is the head.
func (b recordStore) add(ctx context.Context, r *record, most int) error {
	return b.update(ctx, func(tx store.Tx) error {
		all, err := b.read(tx)
		if err != nil {
			return err
		}
		if _, err := tx.Note(b.tearingDownKey()); !errors.Is(err, compute.ErrNotFound) {
			return errors.Join(
				err,
				&compute.Error{
					Kind: compute.ErrConflict, Err: errors.New("what was deployed is being torn down"),
					Hint: "deploy again when that is done",
				},
			)
		}
		if most > 0 && len(all) >= most {
			return &compute.Error{
				Kind: compute.ErrNoCapacity,
				Err:  fmt.Errorf("there are %d servers, and %d are the most", len(all), most),
				Hint: "wait until one is destroyed, or raise MaxServers",
			}
		}
		r.Head = r.Login.External &&
			!slices.ContainsFunc(slices.Collect(maps.Values(all)), func(o record) bool { return o.Head && o.State != destroying })
		return b.put(tx, *r)
	})
}

// reserved sums up what the cloud does not count yet: the servers that living processes are asking
// for.
func (b recordStore) reserved(all map[string]record) (sum flavor.Resources) {
	for _, r := range all {
		if r.State == creating && !r.Answered && b.store.Alive(r.Owner) {
			sum = sum.Plus(r.Flavor.Takes(r.Disk))
		}
	}
	return sum
}

func (b recordStore) put(tx store.Tx, r record) error { return store.WriteNote(tx, b.key(r.Name), r) }

// change alters a record. ErrNotFound says that the record is gone.
func (b recordStore) change(ctx context.Context, name string, fn func(*record) error) (r record, err error) {
	err = b.update(ctx, func(tx store.Tx) error {
		r = record{}
		found, err := store.ReadNote(tx, b.key(name), &r)
		if err == nil && !found {
			err = &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound}
		}
		if err != nil {
			return err
		}
		if err := fn(&r); err != nil {
			return err
		}
		return b.put(tx, r)
	})
	return r, err
}

func (b recordStore) drop(ctx context.Context, name string) error {
	return b.update(ctx, func(tx store.Tx) error { return tx.SaveNote(b.key(name), "") })
}

func (b recordStore) saveText(ctx context.Context, key, text string) error {
	return b.update(ctx, func(tx store.Tx) error { return tx.SaveNote(key, text) })
}

// deployment returns the recorded deployment; ok is false if there is none.
func (b recordStore) deployment(ctx context.Context) (d Deployment, ok bool, err error) {
	err = b.store.View(ctx, func(tx store.Tx) error {
		ok, err = store.ReadNote(tx, b.deploymentKey(), &d)
		return err
	})
	return d, ok, err
}
