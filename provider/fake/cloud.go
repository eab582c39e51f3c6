package fake

import (
	"errors"
	"maps"
	"sync"
	"time"
)

// computer is one fake computer, as the inventory keeps it.
type computer struct {
	ID           string    `json:"id"`
	Source       string    `json:"source"`
	Installation string    `json:"installation"`
	ProviderID   string    `json:"provider_id"`
	Image        string    `json:"image,omitempty"`
	Flavor       string    `json:"flavor,omitempty"`
	Location     string    `json:"location,omitempty"`
	UserData     []byte    `json:"user_data,omitempty"`
	Up           time.Time `json:"up"` // when it has booted
	Stopped      bool      `json:"stopped,omitempty"`
	// when it is gone; zero: it was not asked to go
	Gone  time.Time       `json:"gone,omitzero"`
	Files map[string]file `json:"files,omitzero"` // what was put on it, by path
}

// file is what a fake computer keeps of a file that was put on it.
type file struct {
	Type byte      `json:"type"` // of archive/tar
	Mode int64     `json:"mode"`
	Time time.Time `json:"time"`
	Link string    `json:"link,omitempty"`
	Data []byte    `json:"data,omitempty"`
}

func (c computer) clone() computer {
	c.Files = maps.Clone(c.Files)
	return c
}

// key tells computers of several installations and sources apart.
type key struct{ installation, source, id string }

var (
	errFull    = errors.New("the fake place is full")
	errUnknown = errors.New("there is no such computer")
)

// inventory keeps the computers. Each method is one step that no other comes between.
type inventory interface {
	// add makes c unless one of its name is there, which is then returned with false. errFull:
	// there are capacity (if not 0) computers.
	add(c computer, capacity int, now time.Time) (computer, bool, error)
	// change hands the computer to f and keeps what f made of it; f returns false to remove it.
	// errUnknown: there is none.
	change(k key, now time.Time, f func(*computer) bool) (computer, error)
	// list returns the computers of one source of one installation, in no order.
	list(installation, source string, now time.Time) ([]computer, error)
}

// Cloud is an inventory of fake computers in memory. It outlives the Providers that are opened on
// it, as a cloud outlives its clients: a test that lets the engine crash keeps the Cloud and opens
// a new Provider. Its methods may be called from many goroutines.
type Cloud struct {
	mu        sync.Mutex
	computers map[key]*computer
	made      int
	destroyed int
}

// NewCloud returns an empty Cloud.
func NewCloud() *Cloud { return &Cloud{computers: map[key]*computer{}} }

// Made is how many computers were made here, by all Providers.
func (c *Cloud) Made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made
}

// Destroyed is how many are gone again.
func (c *Cloud) Destroyed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(time.Now())
	return c.destroyed
}

// IDs returns the names of all computers that are there, whosever they are, in no order.
func (c *Cloud) IDs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(time.Now())
	out := make([]string, 0, len(c.computers))
	for k := range c.computers {
		out = append(out, k.id)
	}
	return out
}

// expire removes the computers whose end has come. The caller holds mu.
func (c *Cloud) expire(now time.Time) {
	for k, m := range c.computers {
		if !m.Gone.IsZero() && !now.Before(m.Gone) {
			delete(c.computers, k)
			c.destroyed++
		}
	}
}

// live returns the computer of that name unless its end has come. The caller holds mu.
func (c *Cloud) live(k key, now time.Time) *computer {
	m := c.computers[k]
	if m != nil && !m.Gone.IsZero() && !now.Before(m.Gone) {
		delete(c.computers, k)
		c.destroyed++
		return nil
	}
	return m
}

func (c *Cloud) add(m computer, capacity int, now time.Time) (computer, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := key{m.Installation, m.Source, m.ID}
	if old := c.live(k, now); old != nil {
		return old.clone(), false, nil
	}
	if capacity > 0 && len(c.computers) >= capacity {
		if c.expire(now); len(c.computers) >= capacity {
			return computer{}, false, errFull
		}
	}
	c.computers[k] = &m
	c.made++
	return m.clone(), true, nil
}

func (c *Cloud) change(k key, now time.Time, f func(*computer) bool) (computer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.live(k, now)
	if m == nil {
		return computer{}, errUnknown
	}
	if !f(m) {
		delete(c.computers, k)
		c.destroyed++
	}
	return m.clone(), nil
}

func (c *Cloud) list(installation, source string, now time.Time) ([]computer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(now)
	var out []computer
	for k, m := range c.computers {
		if k.installation == installation && k.source == source {
			out = append(out, m.clone())
		}
	}
	return out, nil
}
