package usage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/proto"
)

const (
	written = "var/xml_report"

	maxFiles = 10000     // in one directory
	maxFile  = 128 << 10 // bytes
	// of one directory at a time, as bytes of a form: the rest waits for the next journal
	maxOf = 128 << 10
	apart = "stays where it is, and is not sent"
)

// Found is the content of one directory.
type Found struct {
	Movements []proto.Movement
	Journals  [][]proto.Transaction // of whole computers: the content of each file
	Size      int                   // bytes of the form in which a master is told all that
	// there are more files, which were not looked at: they are for the next time
	More bool
	// files that are no reports, as errors with their names; they stay where they are
	Wrong []error

	dir   *home.Dir
	files []File
}

// A File is one that was read.
type File struct {
	Name string `json:"name"` // below the directory
	Sum  string `json:"sum"`  // SHA-256 of what it said, in hex
}

// Partition reads what a partition has left in its var/xml_report.
func Partition(d *home.Dir) (*Found, error) { return gather(d, written, false) }

// Ours reads what others of this node have left about a partition, or with whole about the
// computer, in var/xml_report/NAME below the root of all partitions.
func Ours(root *home.Dir, name string, whole bool) (*Found, error) {
	if name == "" || name == "." || name == ".." || path.Base(name) != name {
		return nil, &compute.Error{
			Op: "usage.Ours", Kind: compute.ErrInvalid,
			Err: fmt.Errorf("%q is no name of a partition or a computer", name),
		}
	}
	return gather(root, path.Join(written, name), whole)
}

// gather reads the consumption files of one directory, up to maxOf bytes of them. A malformed file
// is left in its place and listed in Wrong.
func gather(d *home.Dir, in string, whole bool) (*Found, error) {
	f := &Found{dir: d}
	names, err := d.List(in, maxFiles)
	if err != nil {
		return f, err
	}
	for _, base := range names {
		name := path.Join(in, base)
		if f.Size >= maxOf {
			f.More = true
			break
		}
		data, err := d.Read(name, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = f.take(string(data), whole)
		}
		if err != nil {
			f.Wrong = append(f.Wrong, fmt.Errorf("%s %s: %w", path.Join(d.Path(), name), apart, err))
			continue
		}
		f.files = append(f.files, File{name, sum(data)})
	}
	return f, nil
}

// take adds a document, a whole journal or else a consumption report. Size grows by its length
// as a form value.
func (f *Found) take(document string, whole bool) error {
	var journal []proto.Transaction
	var movements []proto.Movement
	var err error
	if whole {
		journal, err = proto.ParseUsage(document)
	} else {
		movements, err = proto.ParseConsumption(document)
		journal = []proto.Transaction{{Movements: movements}}
	}
	if err != nil {
		return err
	}
	text, err := proto.FormatUsage(journal)
	if err != nil {
		return err
	}
	f.Size += len(url.QueryEscape(text))
	f.Movements = append(f.Movements, movements...)
	if whole {
		f.Journals = append(f.Journals, journal)
	}
	return nil
}

// Empty says that there was no file to send.
func (f *Found) Empty() bool { return len(f.files) == 0 }

// Files are the files that were read, with their directory.
func (f *Found) Files() (*home.Dir, []File) { return f.dir, f.files }

// Forget removes files of which the master has what they say. One that says something else by now
// stays.
func Forget(d *home.Dir, files []File) error {
	var all []error
	for _, f := range files {
		data, err := d.Read(f.Name, maxFile)
		if errors.Is(err, fs.ErrNotExist) || err == nil && sum(data) != f.Sum {
			continue
		}
		all = append(all, d.Remove(f.Name))
	}
	return errors.Join(all...)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// Of are movements as a master is told them: each is of its partition, whatever the partition says.
func Of(partition string, movements []proto.Movement) []proto.Movement {
	out := make([]proto.Movement, len(movements))
	for i, m := range movements {
		m.Reference = partition
		out[i] = m
	}
	return out
}

// Journal is one transaction of movements on a computer, up to a time.
func Journal(computer string, at time.Time, movements []proto.Movement) []proto.Transaction {
	return []proto.Transaction{{
		Title: "Resource consumptions", Stop: at.Format("2006-01-02 at 15:04:05"), Reference: computer,
		Movements: movements,
	}}
}
