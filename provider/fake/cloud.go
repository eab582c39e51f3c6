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
	Up           time.Time `json:"up"` // when it has booted or will have
	Stopped      bool      `json:"stopped,omitempty"`
	// when it is or will be gone; zero: it was not asked to go
	Gone  time.Time       `json:"gone,omitzero"`
	Files map[string]file `json:"files,omitzero"` // the files that were put on it, by path
}

// file is a file that was put on a fake computer.
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

// key identifies a computer among those of several installations and sources.
type key struct{ installation, source, id string }

var (
	errFull    = errors.New("the fake place is full")
	errUnknown = errors.New("there is no such computer")
)

// inventory keeps the computers. Each method is atomic.
type inventory interface {
	// add adds c unless a computer with its key exists; then it returns that one and false.
	// capacity is the greatest number of computers; 0: no limit. Beyond it the error is errFull.
	add(c computer, capacity int, now time.Time) (computer, bool, error)
	// change hands the computer to f and keeps what f makes of it. If f returns false, the computer
	// is removed. errUnknown: there is no such computer.
	change(k key, now time.Time, f func(*computer) bool) (computer, error)
	// list returns the computers of one source of one installation, in no order.
	list(installation, source string, now time.Time) ([]computer, error)
}

// Cloud is an inventory of fake computers in memory. It outlives the Providers that are opened on
// it, as a cloud outlives its clients. A test that lets the engine crash keeps the Cloud and opens
// a new Provider. Any number of goroutines may use it.
type Cloud struct {
	mu        sync.Mutex
	computers map[key]*computer
	made      int
	destroyed int
}

// NewCloud returns an empty Cloud.
func NewCloud() *Cloud { return &Cloud{computers: map[key]*computer{}} }

// Made returns how many computers were made here, by all Providers.
func (c *Cloud) Made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made
}

// Destroyed returns how many of them are gone.
func (c *Cloud) Destroyed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(time.Now())
	return c.destroyed
}

// IDs returns the names of all computers of all owners, in no order.
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

// live returns the computer with that key, unless its end has come. The caller holds mu.
func (c *Cloud) live(k key, now time.Time) *computer {
	m := c.computers[k]
	if m != nil && !m.Gone.IsZero() && !now.Before(m.Gone) {
		delete(c.computers, k)
		c.destroyed++
		return nil
	}
	return m
}

// add adds a computer, unless one with its key is there: that one is returned with false. A
// capacity of 0 is no limit.
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

// change applies f to a computer, and destroys it if f returns false.
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

// list returns copies of one source's computers, in no order.
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
