package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Act is an entry of the audit log: what somebody did, or was refused.
type Act struct {
	ID      int64     `json:"id"` // grows
	Time    time.Time `json:"time"`
	Who     string    `json:"who,omitempty"`     // "": nobody whom the controller knows
	Via     string    `json:"via,omitempty"`     // how he is known
	From    string    `json:"from,omitempty"`    // the address; "": this machine's socket
	Project string    `json:"project,omitempty"` // the thing's
	Act     string    `json:"act"`               // the API's operation
	Thing   string    `json:"thing,omitempty"`   // its names, with commas between
	Outcome string    `json:"outcome"`           // "done", or a problem's code
	Detail  string    `json:"detail,omitempty"`  // what went wrong
	Reason  string    `json:"reason,omitempty"`  // why, as he said
	// the request's id, which the controller's log has too
	Request string `json:"request,omitempty"`
	// so many refusals before it are not here, as there were too many
	Missed int `json:"missed,omitempty"`
}

// AuditOptions say how a Log works.
type AuditOptions struct {
	Keep time.Duration // so long an entry is there; 0: 90 days
	Log  *slog.Logger
}

// Log is the audit log. Entries are written a moment after they came, many at a time, so that
// nobody waits for that; those of the last moment before the process is killed are lost.
type Log struct {
	store Store
	opt   AuditOptions
	bell  chan struct{} // 1 slot: there is something to write

	mu      sync.Mutex
	pending []Act
	missed  int
}

const (
	auditGather = 20 * time.Millisecond
	auditLast   = 10 * time.Second // for what is left at the end
	auditMost   = 50000            // entries that wait to be written
	auditPage   = 1 << 16
	auditPages  = 64 // that are read at a time
)

// NewLog makes a Log on a store.
func NewLog(store Store, opt AuditOptions) *Log {
	opt.Keep = cmp.Or(opt.Keep, 90*24*time.Hour)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Log{store: store, opt: opt, bell: make(chan struct{}, 1)}
}

// Add adds an entry. It does not wait. Where the store takes none for long, entries are counted
// that are not kept.
func (l *Log) Add(a Act) {
	l.mu.Lock()
	if len(l.pending) >= auditMost {
		l.missed++
	} else {
		a.Missed += l.missed
		l.missed = 0
		l.pending = append(l.pending, a)
	}
	l.mu.Unlock()
	select {
	case l.bell <- struct{}{}:
	default:
	}
}

// Run writes entries, and forgets old ones, until ctx ends; then it writes what is left.
func (l *Log) Run(ctx context.Context) {
	old := time.NewTicker(sweep)
	defer old.Stop()
	l.prune(ctx)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditLast)
			_ = l.flush(last) // it is logged
			cancel()
			return
		case <-old.C:
			l.prune(ctx)
		case <-l.bell:
			select {
			case <-ctx.Done():
			case <-time.After(auditGather):
			}
			// what is being written when it ends is not written twice
			if l.flush(context.WithoutCancel(ctx)) != nil {
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
				select {
				case l.bell <- struct{}{}:
				default:
				}
			}
		}
	}
}

// flush writes what is there. What cannot be written stays for the next time.
func (l *Log) flush(ctx context.Context) error {
	for {
		l.mu.Lock()
		some := l.pending[:min(len(l.pending), auditPage/16)]
		l.mu.Unlock()
		if len(some) == 0 {
			return nil
		}
		var text bytes.Buffer
		to := json.NewEncoder(&text)
		to.SetEscapeHTML(false) // it would make one character six
		for _, a := range some {
			_ = to.Encode(a) // strings and numbers
		}
		err := l.update(ctx, func(tx AuditTx) error {
			_, err := tx.SaveAudit(some[len(some)-1].Time, text.Bytes())
			return err
		})
		if err != nil {
			l.opt.Log.Error("the audit log is not written", "entries", len(some), "err", err)
			return err
		}
		l.mu.Lock()
		l.pending = slices.Clone(l.pending[len(some):])
		l.mu.Unlock()
	}
}

func (l *Log) prune(ctx context.Context) {
	err := l.update(ctx, func(tx AuditTx) error { return tx.DropAudit(time.Now().Add(-l.opt.Keep)) })
	if err != nil && ctx.Err() == nil {
		l.opt.Log.Warn("old entries of the audit log are not forgotten yet", "err", err)
	}
}

var errNoAudit = &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("this store keeps no audit log")}

func (l *Log) update(ctx context.Context, fn func(AuditTx) error) error {
	return l.store.Update(ctx, func(tx compute.Tx) error {
		at, ok := tx.(AuditTx)
		if !ok {
			return errNoAudit
		}
		return fn(at)
	})
}

// AuditQuery selects entries; zero fields select all.
type AuditQuery struct {
	Before   int64     // only those with a smaller id
	Since    time.Time // only newer ones
	Projects []string  // only of these; nil: of all
	Who      string
	Act      string
	Limit    int // at most
}

// List returns entries, the newest first. Those that are not written yet are not among them.
func (l *Log) List(ctx context.Context, q AuditQuery) (out []Act, err error) {
	before := int64(0)
	if q.Before > 0 {
		before = q.Before/auditPage + 1
	}
	for {
		var pages []AuditPage
		err := l.store.View(ctx, func(tx compute.Tx) (err error) {
			at, ok := tx.(AuditTx)
			if !ok {
				return errNoAudit
			}
			// a page's time is its newest entry's
			pages, err = at.Audit(before, q.Since, auditPages)
			return err
		})
		if err != nil || len(pages) == 0 {
			return out, err
		}
		for _, p := range pages {
			before = p.Number
			acts, err := p.acts()
			if err != nil {
				return out, err
			}
			for _, a := range slices.Backward(acts) {
				if q.selects(&a) {
					out = append(out, a)
				}
				if len(out) == q.Limit {
					return out, nil
				}
			}
		}
	}
}

// acts reads the entries of a page.
func (p AuditPage) acts() (out []Act, err error) {
	for i, line := range bytes.Split(bytes.TrimSuffix(p.Some, []byte("\n")), []byte("\n")) {
		var a Act
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, &compute.Error{Op: "auth.Log", Kind: compute.ErrFailed, Err: err}
		}
		a.ID = p.Number*auditPage + int64(i)
		out = append(out, a)
	}
	return out, nil
}

func (q *AuditQuery) selects(a *Act) bool {
	return (q.Before == 0 || a.ID < q.Before) && !a.Time.Before(q.Since) &&
		(q.Projects == nil || slices.Contains(q.Projects, a.Project) && a.Who != "") &&
		(q.Who == "" || q.Who == a.Who) && (q.Act == "" || q.Act == a.Act)
}
