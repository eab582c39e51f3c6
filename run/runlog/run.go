package runlog

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Run is a run that is being recorded. Its methods may be called from many goroutines. One that
// could not be recorded takes them all and does nothing.
type Run struct {
	log *Log
	dir string // "": it is not recorded

	mu      sync.Mutex
	rec     Record
	lock    *os.File
	streams []*Stream
	err     error // the first
	further bool  // it was resumed: outputs go on behind what is there
}

// ID is the run's, recorded or not.
func (r *Run) ID() string { return r.rec.ID }

// Artifacts is the directory for files that are brought back; "": there is none.
func (r *Run) Artifacts() string {
	if r.dir == "" {
		return ""
	}
	return r.log.Artifacts(r.rec.ID)
}

// File is the path of a further file of the record; "": there is none.
func (r *Run) File(name string) string {
	if r.dir == "" {
		return ""
	}
	return filepath.Join(r.dir, name)
}

// Err is the first reason why something of the run is not recorded; nil: all is.
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

// Record returns what is known by now.
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

// Sync has what is known on the disk when it returns nil, so that a loss of power does not take it.
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

// End writes the last of the record and lets go of it. change says how the run ended; a state that
// it leaves Running or Held becomes Ended.
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

// close writes the last that we know, and lets go of the record.
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

// save replaces the file by a whole one. It is synced where that is asked for: else a record that a
// loss of power takes is no loss of work.
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

// syncDir has the names in a directory on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Stream returns the writer that records an output: "stdout" or "stderr". It takes all that it is
// given, recorded or not.
func (r *Run) Stream(name string) *Stream {
	s := &Stream{head: r.log.headSize(), tail: r.log.tailSize()}
	if r.dir != "" {
		s.base = filepath.Join(r.dir, name)
		if r.further {
			s.further(r.log, r.rec.ID, name)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams = append(r.streams, s)
	return s
}

// Remove forgets a run that has ended. One that is gone already is no error.
func (l *Log) Remove(id string) error {
	gone := filepath.Join(l.Dir, "."+id+"-"+newID()) // at once, so that nobody sees half of it
	err := os.Rename(filepath.Join(l.Dir, id), gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}
