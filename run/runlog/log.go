package runlog

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Log is a directory of runs. Its methods are safe for concurrent use, also from several processes.
type Log struct {
	Dir string // made when it is first needed

	// the bytes to keep of each output, at its start and end; 0: 1 MiB and 7 MiB
	First, Rest int64
}

const (
	recordFile = "record.json"
	lockFile   = "lock"
	maxRecord  = 4 << 20

	letters = "bcdfghjkmnpqrstvwxz" // no vowels, so an id is never a word such as Last
	digits  = "23456789"
	idSize  = 8
)

// Every is how often to check whether a record has grown. Records are files, so there is no notice.
const Every = 200 * time.Millisecond

// Last is the name of the newest run.
const Last = "last"

// newID makes an id that is easy to type. It begins with a letter, and has only letters and digits
// that look different.
func newID() string {
	var b [idSize]byte
	_, _ = rand.Read(b[:]) // never fails
	out := make([]byte, idSize)
	for i, c := range b {
		set := letters + digits
		if i == 0 {
			set = letters
		}
		out[i] = set[int(c)%len(set)]
	}
	return string(out)
}

func isID(s string) bool {
	return len(s) == idSize && strings.Trim(s, letters+digits) == ""
}

// Begin records a run that begins now. The run is never nil: on an error it has an id and records
// nothing.
func (l *Log) Begin(rec Record) (*Run, error) {
	rec.State, rec.Process = Running, os.Getpid()
	r := &Run{log: l, rec: rec}
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		r.rec.ID = newID()
		return r, r.fail(err)
	}
	for {
		r.rec.ID = newID()
		dir := filepath.Join(l.Dir, r.rec.ID)
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return r, r.fail(err)
		}
		r.dir = dir
		break
	}
	lock, err := os.OpenFile(filepath.Join(r.dir, lockFile), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err == nil {
		r.lock = lock
		err = takeLock(lock)
	}
	if err == nil {
		err = r.save(false)
	}
	if err != nil {
		_ = os.RemoveAll(r.dir)
		r.dir = ""
		return r, r.fail(err)
	}
	return r, nil
}

// List returns the records of all runs, newest first. Unreadable records are left out.
func (l *Log) List() ([]Record, error) {
	ids, err := l.ids()
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, id := range ids {
		if rec, err := l.read(id); err == nil {
			out = append(out, rec)
		}
	}
	slices.SortStableFunc(out, func(a, b Record) int { return b.Started.Compare(a.Started) })
	return out, nil
}

// ids returns the ids of all recorded runs; a missing directory has none.
func (l *Log) ids() (out []string, err error) {
	entries, err := os.ReadDir(l.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if isID(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// IDs lists the ids of all runs without reading their records.
func (l *Log) IDs() []string {
	ids, _ := l.ids()
	return ids
}

// Find returns a run by its id, by a unique beginning of its id, or the newest by Last. ErrNotFound
// says that there is none, ErrInvalid that there are several.
func (l *Log) Find(name string) (Record, error) {
	ids, err := l.ids()
	if err != nil {
		return Record{}, err
	}
	if name == Last {
		all, err := l.List()
		if err == nil && len(all) == 0 {
			err = &compute.Error{ID: Last, Kind: compute.ErrNotFound, Err: errors.New("there are no runs")}
		}
		if err != nil {
			return Record{}, err
		}
		return all[0], nil
	}
	var found []string
	for _, id := range ids {
		if name != "" && strings.HasPrefix(id, name) {
			found = append(found, id)
		}
	}
	switch {
	case len(found) == 1:
		rec, err := l.read(found[0])
		if errors.Is(err, fs.ErrNotExist) {
			break // it is being removed
		}
		return rec, err
	case len(found) > 1:
		return Record{}, &compute.Error{ID: compute.ID(name), Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("several runs begin so: %s", strings.Join(found[:min(len(found), 5)], ", ")),
			Hint: "type more of its id"}
	}
	return Record{}, &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no run of this id"),
		Hint: "hostler runs lists them",
	}
}

// read returns a run's record. A running one whose process has ended becomes Lost.
func (l *Log) read(id string) (Record, error) {
	rec, err := l.load(id)
	if err != nil || rec.State != Running || l.alive(id) {
		return rec, err
	}
	if rec, err = l.load(id); err == nil && rec.State == Running { // it may have just ended
		rec.State = Lost
	}
	return rec, err
}

// load reads the record of a run. One larger than maxRecord is refused.
func (l *Log) load(id string) (rec Record, err error) {
	file := filepath.Join(l.Dir, id, recordFile)
	info, err := os.Stat(file)
	if err == nil && info.Size() > maxRecord {
		err = &fs.PathError{Op: "read", Path: file, Err: errors.New("is too large for a record")}
	}
	if err != nil {
		return rec, err
	}
	data, err := os.ReadFile(file)
	if err == nil {
		if err = json.Unmarshal(data, &rec); err != nil {
			err = fmt.Errorf("%s: %w", file, err)
		}
	}
	rec.ID = id
	return rec, err
}

// alive reports whether the process of a run holds its lock.
func (l *Log) alive(id string) bool {
	f, err := os.Open(filepath.Join(l.Dir, id, lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return isLocked(f)
}

// Artifacts returns the directory of the files that a run brought back. It may not exist.
func (l *Log) Artifacts(id string) string { return filepath.Join(l.Dir, id, "artifacts") }

// now returns the time without the clock's monotonic part.
func now() time.Time { return time.Now().Round(0) }
