package pool

import (
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// A source's configuration may come to lead to another place than where some of its instances are: another cluster, by a kubeconfig whose current context was changed.
// Those that stand ready there are given to nobody, as nothing can be done with them from here, and others serve. Now and then one of them is looked at again.

const (
	elsewherePause = time.Minute // until one is looked at again, if somebody asks
	elsewhereMost  = 1000        // that are passed over by what is known of one
)

// errElsewhere is for an instance that is not where its source's configuration leads now.
type errElsewhere struct{ err error }

func (e *errElsewhere) Error() string { return e.err.Error() }
func (e *errElsewhere) Unwrap() error { return e.err }

func isElsewhere(err error) bool {
	var e *errElsewhere
	return errors.As(err, &e)
}

// passOver tells whether a ready instance is elsewhere, as far as was found lately. Who gets none is told why.
func (d *draw) passOver(i *compute.Instance) bool {
	if !i.Retry.After(d.now) || i.Retry.Sub(d.now) > elsewherePause { // a clock may have been set back
		return false
	}
	if !d.passes {
		d.passes = true
		d.paused = append(d.paused, &compute.Error{ID: i.ID, Kind: compute.ErrUnavailable, Err: errors.New(i.Reason)})
	}
	return true
}

// setElsewhere notes with a ready instance, and with all of its source that are known to be in the same place, that they are passed over. The caller saves i. The journal
// has one event of it.
func (p *Pool) setElsewhere(tx compute.Tx, i *compute.Instance, cause error) error {
	why, until := causeOf(cause), time.Now().Add(elsewherePause)
	told := i.Reason == why
	i.Reason, i.Retry = why, until
	if identity := i.Facts[compute.FactIdentity]; identity != "" {
		is, err := tx.Instances(compute.InstanceQuery{SourceKey: i.SourceKey, States: []compute.State{compute.Ready}, Limit: elsewhereMost})
		if err != nil {
			return err
		}
		for _, o := range is {
			if o.Row == i.Row || o.Facts[compute.FactIdentity] != identity {
				continue
			}
			told = told || o.Reason == why
			o.Reason, o.Retry = why, until
			if err := tx.SaveInstance(o); err != nil {
				return err
			}
		}
	}
	if told {
		return nil
	}
	_, err := tx.Append(&compute.Event{Time: time.Now(), Kind: "elsewhere", Source: i.Source, Instance: i.ID, Text: why})
	return err
}
