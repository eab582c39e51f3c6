package layer

import (
	"archive/tar"
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
)

const (
	defaultSize    = 32 << 30
	defaultEntries = 1 << 20
	defaultRatio   = 100
	longestPath    = 4096    // bytes of an entry's name, as of a path in Linux
	deepestName    = 256     // directories in one
	perEntry       = 2 << 10 // bytes of an archive that are counted for an entry beside its content
)

// RatioFrom is the size from which the ratio counts: small files compress as they like. It is
// smaller in tests alone.
var RatioFrom int64 = 256 << 20

// limits bound what one image may unpack to.
type limits struct {
	size           int64
	entries, ratio int
}

// Budget is what one image, all its layers together, has left of its limits.
type Budget struct {
	limits  limits
	size    atomic.Int64
	entries atomic.Int64
}

// NewBudget is an image's budget: bytes of all its files, entries, and how many times as large as
// what was read it may become. 0 is the default of each: 32 GiB, a million and 100.
func NewBudget(size int64, entries, ratio int) *Budget {
	return &Budget{limits: limits{cmp.Or(size, defaultSize), cmp.Or(entries, defaultEntries), cmp.Or(ratio, defaultRatio)}}
}

// Take counts so much more of an image.
func (b *Budget) Take(size int64, entries int) error {
	if size < 0 || b.size.Add(size) > b.limits.size {
		return tooLarge("max-size", "the image's files are more than %d bytes together", b.limits.size)
	}
	if b.entries.Add(int64(entries)) > int64(b.limits.entries) {
		return tooLarge("max-entries", "the image has more than %d files, directories and links", b.limits.entries)
	}
	return nil
}

// grows refuses a stream of which so little was read and that has become so large.
func (b *Budget) grows(made, read int64) error {
	if made > RatioFrom && made/int64(b.limits.ratio) > read {
		return tooLarge("max-ratio", "%d bytes that were read became more than %d: this is made to fill a disk", read, made)
	}
	return nil
}

// tooLarge is the error for what is beyond a limit that a key of hostler.conf says.
func tooLarge(key, format string, args ...any) error {
	return &TooLargeError{ContentError{fmt.Errorf(format, args...)}, key}
}

// TooLargeError is an image that is larger than it may be.
type TooLargeError struct {
	ContentError
	Key string // of [images], which says how large
}

// As has it be content that nobody should unpack, too.
func (e *TooLargeError) As(to any) bool {
	content, ok := to.(**ContentError)
	if ok {
		*content = &e.ContentError
	}
	return ok
}

// Meter counts one layer against what its image has left.
type Meter struct {
	Of     *Budget
	Read   func() int64 // bytes of the layer that have come; nil: as many as it holds
	made   int64        // bytes that they have become
	unseen int64        // since the last look at the disk
}

// entry counts an entry with what it claims to hold, and refuses a name that is no path.
func (m *Meter) entry(h *tar.Header) error {
	switch depth := strings.Count(h.Name, "/"); {
	case len(h.Name) > longestPath:
		return Contentf("its name has %d bytes, and may have %d", len(h.Name), longestPath)
	case depth > deepestName:
		return Contentf("it lies %d directories deep, and may lie %d", depth, deepestName)
	}
	size := max(h.Size, 0)
	for _, attribute := range h.PAXRecords {
		size += int64(len(attribute))
	}
	return m.Of.Take(size, 1)
}

// grow counts what was made of an entry.
func (m *Meter) grow(n int) error {
	if m.made += int64(n); m.Read == nil {
		return nil
	}
	return m.Of.grows(m.made, m.Read())
}

// Bounded reads a stream that unpacks to more than was read, and ends it when that is out of
// proportion or too much.
func (b *Budget) Bounded(r io.Reader, read func() int64) io.Reader {
	made, most := int64(0), b.limits.size+int64(b.limits.entries)*perEntry
	return ReaderFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		made += int64(n)
		if bad := b.grows(made, read()); bad != nil {
			return 0, bad
		}
		if made > most {
			return 0, tooLarge("max-size", "it unpacks to more than %d bytes", most)
		}
		return n, err
	})
}

// Counter counts what is read, for others to look at.
type Counter struct {
	R io.Reader
	N atomic.Int64
}

func (c *Counter) Read(p []byte) (int, error) {
	n, err := c.R.Read(p)
	c.N.Add(int64(n))
	return n, err
}

// ContentError is content that nobody should unpack, or that is not what it claims to be.
type ContentError struct{ Err error }

func (e *ContentError) Error() string { return e.Err.Error() }
func (e *ContentError) Unwrap() error { return e.Err }

func Contentf(format string, args ...any) error { return &ContentError{fmt.Errorf(format, args...)} }

// Unpacked says what came of a layer's archive.
type Unpacked struct {
	Size    int64 `json:"size"`              // bytes of its files
	Files   int   `json:"files"`             // entries made
	Devices int   `json:"devices,omitempty"` // device nodes left out
	// files that did not get the owner that the archive gives them
	Foreign int `json:"foreign,omitempty"`
	Refused int `json:"refused,omitempty"` // extended attributes that this user may not set

	// directories that were made without an entry of their own
	Implied []string `json:"implied,omitempty"`
}
