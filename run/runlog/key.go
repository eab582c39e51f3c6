package runlog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	keysDir  = "keys"
	keyKept  = 24 * time.Hour // after the end of its run
	keyEvery = 20 * time.Millisecond
	maxBound = 4 << 10
)

// Bound is the run that a key stands for. The zero value means none.
type Bound struct {
	Run     string    `json:"run"`
	Request string    `json:"request"` // a digest of the request
	Time    time.Time `json:"time"`    // when the key was bound
}

// Key is a caller's key, locked so that no other process can bind it. The caller must close it.
type Key struct {
	f    *os.File
	free bool // a new run may be bound, in place of Bound
	Bound
}

// Key locks a key. It waits while another process has the lock, which is only while that binds the
// key. The Key has the run that is bound to it, if any; see Key.Free.
func (l *Log) Key(ctx context.Context, key string) (*Key, error) {
	dir := filepath.Join(l.Dir, keysDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(key))
	file := filepath.Join(dir, hex.EncodeToString(sum[:]))
	for {
		k, err := takeKey(file)
		if k == nil && err == nil {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(keyEvery):
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		k.free = k.Run == "" || l.forgotten(k.Bound)
		l.dropKeys(dir, filepath.Base(file))
		return k, nil
	}
}

// takeKey opens and locks a file. It returns nil if another process has the lock, or the file has
// just been removed.
func takeKey(file string) (*Key, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if takeLock(f) != nil {
		return nil, f.Close()
	}
	mine, err := f.Stat()
	if err == nil {
		var there fs.FileInfo
		if there, err = os.Stat(file); errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, there) {
			return nil, f.Close()
		}
	}
	k := &Key{f: f}
	if err == nil {
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(f, maxBound)); json.Unmarshal(data, &k.Bound) != nil {
			k.Bound = Bound{} // its writer ended before the run began
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return k, nil
}

// forgotten reports whether a run ended so long ago that its key is free. If its record is gone,
// the age of the binding counts.
func (l *Log) forgotten(b Bound) bool {
	rec, err := l.read(b.Run)
	if err != nil {
		return time.Since(b.Time) > keyKept
	}
	return rec.State == Ended && rec.Ended != nil && time.Since(*rec.Ended) > keyKept
}

// dropKeys removes keys that are free, except one.
func (l *Log) dropKeys(dir, but string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() == but || time.Since(info.ModTime()) < keyKept {
			continue
		}
		file := filepath.Join(dir, e.Name())
		if k, err := takeKey(file); err == nil && k != nil {
			if k.Run == "" || l.forgotten(k.Bound) {
				_ = os.Remove(file) // a failure is left to the next run
			}
			_ = k.Close()
		}
	}
}

// Free reports whether the key stands for no run, or for one that ended more than a day ago.
func (k *Key) Free() bool { return k.free }

// Bind binds the key to a run. When it returns nil, that is on disk.
func (k *Key) Bind(request, run string) error {
	b := Bound{Run: run, Request: request, Time: now()}
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err = k.f.Truncate(0); err == nil {
		_, err = k.f.WriteAt(append(data, '\n'), 0)
	}
	if err == nil {
		err = k.f.Sync()
	}
	if err != nil {
		return err
	}
	k.Bound, k.free = b, false
	return syncDir(filepath.Dir(k.f.Name()))
}

// Close unlocks the key.
func (k *Key) Close() error { return k.f.Close() }
