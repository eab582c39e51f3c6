package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// AuditEntry is an entry of the audit log: one request, and whether it was done or refused.
type AuditEntry struct {
	ID      int64     `json:"id"` // grows
	Time    time.Time `json:"time"`
	Who     string    `json:"who,omitempty"`     // "": the caller is not known
	Via     string    `json:"via,omitempty"`     // how the caller is known, as Principal.Via
	From    string    `json:"from,omitempty"`    // the caller's address; "": this machine's socket
	Project string    `json:"project,omitempty"` // the project of the thing
	Act     string    `json:"act"`               // the API's operation
	Thing   string    `json:"thing,omitempty"`   // the names of the things, separated by commas
	Outcome string    `json:"outcome"`           // "done", or a problem's code
	Detail  string    `json:"detail,omitempty"`  // what went wrong
	Reason  string    `json:"reason,omitempty"`  // the caller's own reason
	// the id of the request, which is also in the controller's log
	Request string `json:"request,omitempty"`
	// how many refusals before this one were left out, because there were too many
	Missed int `json:"missed,omitempty"`
}

// AuditOptions say how a Log works. The zero value keeps entries for 90 days and logs nothing.
type AuditOptions struct {
	Keep time.Duration // how long an entry is kept; 0: 90 days
	Log  *slog.Logger
}

// Log is the audit log. It writes entries in batches a moment after they came, so Add never waits.
// A killed process loses the entries of its last moment. All methods may be called concurrently.
type Log struct {
	store store.Transactor
	opt   AuditOptions
	bell  chan struct{} // 1 slot: there is something to write

	mu      sync.Mutex
	pending []AuditEntry
	missed  int
}

const (
	auditGather = 20 * time.Millisecond
	auditLast   = 10 * time.Second // how long Run may take to write the rest at the end
	auditMost   = 50000            // the longest queue of entries that are not written yet
	// ids of entries per page, so ID = page number * auditPage + index in the page
	auditPage  = 1 << 16
	auditPages = 64 // pages read in one transaction
)

// NewLog makes a Log on a store. Run must be started for anything to be written.
func NewLog(store store.Transactor, opt AuditOptions) *Log {
	opt.Keep = cmp.Or(opt.Keep, 90*24*time.Hour)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Log{store: store, opt: opt, bell: make(chan struct{}, 1)}
}

// Add adds an entry without waiting. If too many entries are waiting to be written, it drops the
// entry and counts it; a later entry has the count in Missed.
func (l *Log) Add(a AuditEntry) {
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

// Run writes entries and deletes old ones until ctx ends. Then it writes the rest.
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
			// a write that has begun is not cancelled, as a second attempt would write it twice
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

// flush writes the pending entries. Entries that cannot be written stay for the next attempt.
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
		err := l.store.Update(ctx, func(tx store.Tx) error {
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

// prune deletes entries older than Keep.
func (l *Log) prune(ctx context.Context) {
	err := l.store.Update(ctx, func(tx store.Tx) error { return tx.DropAudit(time.Now().Add(-l.opt.Keep)) })
	if err != nil && ctx.Err() == nil {
		l.opt.Log.Warn("old entries of the audit log are not forgotten yet", "err", err)
	}
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

// List returns entries, the newest first. Entries that are not written yet are missing.
func (l *Log) List(ctx context.Context, q AuditQuery) (out []AuditEntry, err error) {
	before := int64(0)
	if q.Before > 0 {
		before = q.Before/auditPage + 1
	}
	for {
		var pages []store.AuditPage
		err := l.store.View(ctx, func(tx store.Tx) (err error) {
			// the time of a page is that of its newest entry
			pages, err = tx.Audit(before, q.Since, auditPages)
			return err
		})
		if err != nil || len(pages) == 0 {
			return out, err
		}
		for _, p := range pages {
			before = p.Number
			acts, err := entriesOf(p)
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

// entriesOf decodes the entries of a page and numbers them.
func entriesOf(p store.AuditPage) (out []AuditEntry, err error) {
	for i, line := range bytes.Split(bytes.TrimSuffix(p.Data, []byte("\n")), []byte("\n")) {
		var a AuditEntry
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, &compute.Error{Op: "auth.Log", Kind: compute.ErrFailed, Err: err}
		}
		a.ID = p.Number*auditPage + int64(i)
		out = append(out, a)
	}
	return out, nil
}

func (q *AuditQuery) selects(a *AuditEntry) bool {
	return (q.Before == 0 || a.ID < q.Before) && !a.Time.Before(q.Since) &&
		(q.Projects == nil || slices.Contains(q.Projects, a.Project) && a.Who != "") &&
		(q.Who == "" || q.Who == a.Who) && (q.Act == "" || q.Act == a.Act)
}
