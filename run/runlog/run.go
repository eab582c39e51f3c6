package runlog

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Run is a run that is being recorded. Its methods are safe for concurrent use. If the run could
// not be recorded, they do nothing.
type Run struct {
	log *Log
	dir string // "": it is not recorded

	mu      sync.Mutex
	rec     Record
	lock    *os.File
	streams []*Stream
	err     error // the first error
	further bool  // resumed: outputs continue behind what is there
}

// ID returns the run's id, even if the run is not recorded.
func (r *Run) ID() string { return r.rec.ID }

// Artifacts returns the directory for files that are brought back; "" if there is none.
func (r *Run) Artifacts() string {
	if r.dir == "" {
		return ""
	}
	return r.log.Artifacts(r.rec.ID)
}

// File returns the path of an additional file of the record; "" if there is none.
func (r *Run) File(name string) string {
	if r.dir == "" {
		return ""
	}
	return filepath.Join(r.dir, name)
}

// Err returns the first error of recording; nil if everything is recorded.
func (r *Run) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Run) fail(err error) error {
	if r.err == nil {
		r.err = err
	}
	return err
}

// Record returns what is known so far.
func (r *Run) Record() Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rec
}

// Note changes the record without writing it yet.
func (r *Run) Note(change func(*Record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.rec)
}

// Update changes the record and writes it.
func (r *Run) Update(change func(*Record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.rec)
	if r.dir != "" {
		if err := r.save(false); err != nil {
			_ = r.fail(err)
		}
	}
}

// Sync puts the record on disk. When it returns nil, the record survives a loss of power.
func (r *Run) Sync() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir == "" {
		return r.err
	}
	err := r.save(true)
	if err != nil {
		_ = r.fail(err)
	}
	return err
}

// End writes the end of the record and unlocks it. change says how the run ended. If it leaves the
// state Running or Held, the state becomes Ended.
func (r *Run) End(change func(*Record)) {
	r.close(func(rec *Record) {
		t := now()
		rec.Ended = &t
		change(rec)
		if rec.State == Running || rec.State == Held {
			rec.State = Ended
		}
	})
}

// close writes the last of the record and unlocks it.
func (r *Run) close(last func(*Record)) {
	r.mu.Lock()
	streams := r.streams
	r.streams = nil
	r.mu.Unlock()
	for _, s := range streams {
		if err := s.close(); err != nil {
			r.mu.Lock()
			_ = r.fail(err)
			r.mu.Unlock()
		}
	}
	r.Update(last)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lock != nil {
		_ = r.lock.Close()
		r.lock = nil
	}
}

// save replaces the record's file as a whole. It syncs only if asked to: a record lost with the
// power is no loss of work.
func (r *Run) save(synced bool) error {
	data, err := json.Marshal(&r.rec)
	if err != nil {
		return err
	}
	file := filepath.Join(r.dir, recordFile)
	f, err := os.OpenFile(file+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(data, '\n')); err == nil && synced {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(file+".new", file)
	}
	if err == nil && synced {
		err = errors.Join(syncDir(r.dir), syncDir(r.log.Dir))
	}
	return err
}

// syncDir puts the names in a directory on disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Stream returns the writer that records an output, "stdout" or "stderr". It accepts everything,
// even if nothing is recorded.
func (r *Run) Stream(name string) *Stream {
	s := &Stream{head: r.log.headSize(), tail: r.log.tailSize()}
	if r.dir != "" {
		s.base = filepath.Join(r.dir, name)
		if r.further {
			s.continueFrom(r.log, r.rec.ID, name)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams = append(r.streams, s)
	return s
}

// Remove removes the record of a run that has ended. If it is gone already, that is no error.
func (l *Log) Remove(id string) error {
	gone := filepath.Join(l.Dir, "."+id+"-"+newID()) // so no reader sees half of it
	err := os.Rename(filepath.Join(l.Dir, id), gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}
