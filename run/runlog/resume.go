package runlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// A held run outlives the process that began it. That process calls Leave on the record. Another
// one calls Resume and writes the rest.

// Leave writes the record of a run that goes on without this process, and unlocks it. The state is
// Held then.
func (r *Run) Leave() {
	r.close(func(rec *Record) { rec.State = Held })
}

// Resume takes over the record of a run that has not ended and that no process is recording. New
// output goes behind the recorded output. ErrConflict says that another process is recording it, or
// that it has ended.
func (l *Log) Resume(id string) (*Run, error) {
	dir := filepath.Join(l.Dir, id)
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	// a process that checks the lock holds it itself for a moment
	for n := 0; err == nil; n++ {
		if err = takeLock(lock); err == nil || n == 50 {
			break
		}
		err = nil
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		_ = lock.Close()
		return nil, &compute.Error{ID: compute.ID(id), Kind: compute.ErrConflict, Err: errors.New("another process records it")}
	}
	rec, err := l.load(id)
	if err == nil && rec.State == Ended {
		err = &compute.Error{ID: compute.ID(id), Kind: compute.ErrConflict, Err: errors.New("it has ended")}
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	r := &Run{log: l, dir: dir, rec: rec, lock: lock, further: true}
	r.Update(func(rec *Record) { rec.State, rec.Process = Held, os.Getpid() })
	return r, nil
}

// continueFrom makes a stream continue behind what was recorded.
func (s *Stream) continueFrom(l *Log, id, name string) {
	n, err := l.size(id, name)
	s.n, s.err = n, err
	if err == nil && n%s.head != 0 {
		s.file, s.err = os.OpenFile(pieceName(s.base, n/s.head), os.O_WRONLY|os.O_APPEND, 0o600)
	}
}

// Recorded reports whether a process is recording the run now.
func (l *Log) Recorded(id string) bool { return l.alive(id) }

const shownFile = "shown"

// Shown returns how much of both outputs of a held run the user has seen, for the next attach. ok
// is false if that is unknown.
func (l *Log) Shown(id string) (stdout, stderr int64, ok bool) {
	b, err := os.ReadFile(filepath.Join(l.Dir, id, shownFile))
	if err != nil {
		return 0, 0, false
	}
	n, _ := fmt.Sscan(string(b), &stdout, &stderr)
	return stdout, stderr, n == 2 && stdout >= 0 && stderr >= 0
}

// SetShown records how much the user has seen. If the run is gone, that is no error.
func (l *Log) SetShown(id string, stdout, stderr int64) error {
	file := filepath.Join(l.Dir, id, shownFile)
	err := os.WriteFile(file+".new", fmt.Appendf(nil, "%d %d\n", stdout, stderr), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
