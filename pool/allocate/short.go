package allocate

import (
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// ShortError says that nothing is free now, but may be later. A request that does not wait gets
// it as ErrNoCapacity.
type ShortError struct {
	Source  *Source
	Text    string
	Causes  []error
	Expired []compute.ID // ready instances that are not fit to be handed out again: they make room
}

func (e *ShortError) Error() string {
	text := e.Source.Name + ": no capacity: " + e.Text
	for _, c := range e.Causes {
		text += "; " + fault.Message(c)
	}
	return text
}

func (e *ShortError) Unwrap() []error { return append([]error{compute.ErrNoCapacity}, e.Causes...) }

// short returns why a source cannot give so many now.
func (d *allocation) short(s *Source, asked, can int) error {
	if err := d.neverFits(s); err != nil {
		return err
	}
	r, err := d.known.record(s)
	if err != nil {
		return err
	}
	e := &ShortError{Source: s}
	c := r.Counts
	switch m := d.view.Maximum(s); {
	case s.Type == PoolType:
		e.Text = fmt.Sprintf("its sources can give %d now, and %d was asked for", can, asked)
	case m > 0:
		e.Text = fmt.Sprintf("%d in use, %d cached and %d on the way out of at most %d, and %d asked for",
			c.InUse(), c.Cached(), c.Present()-c.InUse()-c.Cached(), m, asked)
		if c.Held > 0 {
			e.Text += fmt.Sprintf("; %d held aside", c.Held)
		}
	default:
		e.Text = fmt.Sprintf("%d can be given now, and %d asked for", can, asked)
	}
	switch {
	case d.asks.Amount() != (compute.Resources{}) && d.tooSmall == 1:
		e.Text += "; one that stands ready is too small"
	case d.asks.Amount() != (compute.Resources{}) && d.tooSmall > 1:
		e.Text += fmt.Sprintf("; %d that stand ready are too small", d.tooSmall)
	case d.asks.Chosen() && c.Ready > 0 && s.Type != PoolType:
		e.Text += "; what stands ready is made otherwise"
	}
	seen := map[string]bool{}
	for _, cause := range d.known.paused {
		if !seen[cause.Error()] {
			seen[cause.Error()] = true
			e.Causes = append(e.Causes, cause)
		}
	}
	// A source that is paused after failures is not short of room: waiting in the queue is not what
	// helps.
	if s.Type != PoolType && !UnreachableNow(r, d.view.Now) && len(e.Causes) > 0 && !errors.Is(e.Causes[0], compute.ErrNoCapacity) &&
		(d.view.Maximum(s) == 0 || c.Present() < d.view.Maximum(s)) {
		return e.Causes[0]
	}
	return e
}
