package node

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

const bangFile = ".slapos_latest_bang_timestamp"

// Banger is the master as a watchdog speaks to it.
type Banger interface {
	Bang(ctx context.Context, computer, partition, message string) error
}

// Watchdog has the master have a tree processed again where a program of etc/service did not stay,
// once until it was.
type Watchdog struct {
	Computer     string
	InstanceRoot string
	// the master, as a partition's instance asks it
	Ask func(partition string) (Banger, func(), error)
	Log *slog.Logger
	// pauses before a retry when the master was not reached; 0: 1 s, 1 min
	First, Last time.Duration
	// between two bangs for a partition, which may be processed at once and fail at once; 0: 1 min
	Gap time.Duration

	mu      sync.Mutex
	pending map[string]string // by partition, the message to send
	bell    chan struct{}
	told    map[string]time.Time // of Run alone: when the master was banged last, by partition
}

func (w *Watchdog) ring() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bell == nil {
		w.bell, w.pending = make(chan struct{}, 1), map[string]string{}
	}
	return w.bell
}

// Event takes an event of the supervisor, and does not wait.
func (w *Watchdog) Event(e supervise.Event) {
	bell := w.ring()
	if !e.Weight || !strings.HasSuffix(e.Name, watched) || !plain(e.Group) {
		return
	}
	w.mu.Lock()
	w.pending[e.Group] = e.Name + " process in partition " + e.Group + " encountered a problem"
	w.mu.Unlock()
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Run does what events ask for, until ctx ends.
func (w *Watchdog) Run(ctx context.Context) {
	bell := w.ring()
	w.told = map[string]time.Time{}
	first, last := cmp.Or(w.First, time.Second), cmp.Or(w.Last, time.Minute)
	for pause := first; ; {
		failed, wait := w.bang(ctx)
		if failed {
			wait = pause
			pause = min(2*pause, last)
		} else {
			pause = first
		}
		var again <-chan time.Time
		if wait > 0 {
			again = time.After(wait)
		}
		select {
		case <-bell:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// bang tells the master of all that is to be told. failed: it was not reached, or did not take it;
// wait: when there is something to be told that is to wait, 0 where there is not.
func (w *Watchdog) bang(ctx context.Context) (failed bool, wait time.Duration) {
	w.mu.Lock()
	all := maps.Clone(w.pending)
	w.mu.Unlock()
	for id, text := range all {
		if left := time.Until(w.told[id].Add(cmp.Or(w.Gap, time.Minute))); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		if err := w.bangOne(ctx, id, text); err != nil {
			if ctx.Err() == nil {
				w.Log.Error("the master could not be told of a program that did not stay", "partition", id, "err", err)
			}
			failed = true
			continue
		}
		w.mu.Lock()
		if w.pending[id] == text {
			delete(w.pending, id)
		}
		w.mu.Unlock()
	}
	return failed, wait
}

// bangOne tells the master of one partition's failed program, unless it was told already. An error
// means that it is to be tried again.
func (w *Watchdog) bangOne(ctx context.Context, id, text string) error {
	d, err := home.Open(filepath.Join(w.InstanceRoot, id))
	if err != nil {
		w.Log.Warn("a partition has no directory any more", "partition", id, "err", err)
		return nil
	}
	defer d.Close()
	stamp, banged := banged(d)
	if banged {
		w.Log.Info("a program did not stay, and its partition is to be processed already", "partition", id)
		return nil
	}
	master, end, err := w.Ask(id)
	if err != nil {
		return err
	}
	defer end()
	w.Log.Warn("a program did not stay: its tree is to be processed", "partition", id, "reason", text)
	err = master.Bang(ctx, w.Computer, id, text)
	// as it would be in a minute, and in a year; the next program that does not stay is told again
	if errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrDenied) {
		w.Log.Error("the master does not take it that a program did not stay", "partition", id, "err", err)
		w.told[id] = time.Now()
		return nil
	} else if err != nil {
		return err
	}
	w.told[id] = time.Now()
	return d.WriteOur(bangFile, stamp, 0o644)
}

// banged reports whether a partition was banged since its last successful processing, and returns
// the note to leave when it is banged now. Stamps are only compared for equality. Two equal ones
// count as different times if their files say so.
func banged(d *home.Dir) (note []byte, already bool) {
	stamp, err := d.Read(stampFile, maxStamp)
	last, none := d.Read(bangFile, maxStamp)
	if err != nil {
		return []byte("0"), none == nil && errors.Is(err, fs.ErrNotExist)
	}
	if none != nil || string(last) != string(stamp) {
		return stamp, false
	}
	processed, e1 := d.Stat(stampFile)
	told, e2 := d.Stat(bangFile)
	return stamp, e1 != nil || e2 != nil || !processed.ModTime().After(told.ModTime())
}
