package image

import (
	"archive/tar"
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
)

// Limits bound what one image may unpack to. The zero value stands for the defaults.
type Limits struct {
	Size    int64 // bytes of all its files, holes in them too; 0: 32 GiB
	Entries int   // files, directories and links; 0: a million
	// how many times as large as what was read it may become, beyond the first 256 MiB; 0: 100
	Ratio int
}

const (
	defaultSize    = 32 << 30
	defaultEntries = 1 << 20
	defaultRatio   = 100
	longestPath    = 4096    // bytes of an entry's name, as of a path in Linux
	deepestName    = 256     // directories in one
	perEntry       = 2 << 10 // bytes of an archive that are counted for an entry beside its content
)

// ratioFrom is the size from which the ratio counts: small files compress as they like. It is
// smaller in tests alone.
var ratioFrom int64 = 256 << 20

// budget is what one image, all its layers together, has left of its limits.
type budget struct {
	limits  Limits
	size    atomic.Int64
	entries atomic.Int64
}

func newBudget(l Limits) *budget {
	return &budget{limits: Limits{
		Size: cmp.Or(l.Size, defaultSize), Entries: cmp.Or(l.Entries, defaultEntries),
		Ratio: cmp.Or(l.Ratio, defaultRatio),
	}}
}

// take counts so much more of an image.
func (b *budget) take(size int64, entries int) error {
	if size < 0 || b.size.Add(size) > b.limits.Size {
		return tooLarge("max-size", "the image's files are more than %d bytes together", b.limits.Size)
	}
	if b.entries.Add(int64(entries)) > int64(b.limits.Entries) {
		return tooLarge("max-entries", "the image has more than %d files, directories and links", b.limits.Entries)
	}
	return nil
}

// grows refuses a stream of which so little was read and that has become so large.
func (b *budget) grows(made, read int64) error {
	if made > ratioFrom && made/int64(b.limits.Ratio) > read {
		return tooLarge("max-ratio", "%d bytes that were read became more than %d: this is made to fill a disk", read, made)
	}
	return nil
}

// tooLarge is the error for what is beyond a limit that a key of hostler.conf says.
func tooLarge(key, format string, args ...any) error {
	return &errTooLarge{errContent{fmt.Errorf(format, args...)}, key}
}

// errTooLarge is an image that is larger than it may be.
type errTooLarge struct {
	errContent
	key string // of [images], which says how large
}

// As has it be content that nobody should unpack, too.
func (e *errTooLarge) As(to any) bool {
	content, ok := to.(**errContent)
	if ok {
		*content = &e.errContent
	}
	return ok
}

// meter counts one layer against what its image has left.
type meter struct {
	of     *budget
	read   func() int64 // bytes of the layer that have come; nil: as many as it holds
	made   int64        // bytes that they have become
	unseen int64        // since the last look at the disk
}

// entry counts an entry with what it claims to hold, and refuses a name that is no path.
func (m *meter) entry(h *tar.Header) error {
	switch depth := strings.Count(h.Name, "/"); {
	case len(h.Name) > longestPath:
		return contentf("its name has %d bytes, and may have %d", len(h.Name), longestPath)
	case depth > deepestName:
		return contentf("it lies %d directories deep, and may lie %d", depth, deepestName)
	}
	size := max(h.Size, 0)
	for _, attribute := range h.PAXRecords {
		size += int64(len(attribute))
	}
	return m.of.take(size, 1)
}

// grow counts what was made of an entry.
func (m *meter) grow(n int) error {
	if m.made += int64(n); m.read == nil {
		return nil
	}
	return m.of.grows(m.made, m.read())
}

// bounded reads a stream that unpacks to more than was read, and ends it when that is out of
// proportion or too much.
func (b *budget) bounded(r io.Reader, read func() int64) io.Reader {
	made, most := int64(0), b.limits.Size+int64(b.limits.Entries)*perEntry
	return readerFunc(func(p []byte) (int, error) {
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

// counting counts what is read, for others to look at.
type counting struct {
	r io.Reader
	n atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
