package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy/fetch"
)

// Hook is one receiver, and what it asks for.
type Hook struct {
	Name string
	// https://, or http:// on this machine, or anywhere where Plain says so
	URL string
	// that deliveries are signed with; asked when the hook begins, and again after an error
	Secret func(ctx context.Context) (string, error)
	// kinds, with * and ? as in file names; none: all
	Events []string
	// only of these, in the same way; none: of all, and what is of none
	Sources []string
	// only of these, by their names; none: of all
	Projects []string
	Timeout  time.Duration // of a delivery; 0: 10 s
	// http:// may go anywhere: who listens on the way reads what happens
	Plain  bool
	Hidden bool // the path of the address is a secret too
}

// Check says what is wrong with a hook's address or patterns.
func (h *Hook) Check() error {
	u, err := url.Parse(h.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("url: it is not https://HOST/PATH") // its text may have a secret in it
	case u.Scheme == "http" && !h.Plain && !loopback(u.Hostname()):
		return errors.New("url: http:// to another machine can be read on the way: use https://, or say plain = yes")
	}
	for _, p := range slices.Concat(h.Events, h.Sources) {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%q is no pattern", p)
		}
	}
	for _, p := range h.Events {
		if !slices.ContainsFunc(Kinds(), func(kind string) bool { ok, _ := path.Match(p, kind); return ok }) {
			return &NoKind{p}
		}
	}
	return nil
}

// NoKind is the error for a pattern that no event's kind will ever be like.
type NoKind struct{ Pattern string }

// Error says so.
func (e *NoKind) Error() string {
	return fmt.Sprintf("events: %q is no kind of event: there are %s", e.Pattern, strings.Join(Kinds(), ", "))
}

// Kinds are those of all events that there are.
func Kinds() []string {
	return []string{
		string(compute.Creating), string(compute.SettingUp), "made", string(compute.Ready), string(compute.Leased),
		"released", string(compute.Cleaning), "cleaned",
		string(compute.Failed), string(compute.Held), string(compute.Discarding), "gone", "discard-failed",
		"hook-failed", "paused", "unreachable", "reachable", "elsewhere", "stray", "unqueued", "unserved", "clock",
		"directive", "directive-done", "directive-failed", "directive-lost", "quarantined", "alarm", "alarm-over",
		string(compute.VerbStart), string(compute.VerbStop),
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// wants reports whether a hook asks for an event.
func (h *Hook) wants(e *compute.Event) bool {
	among := func(patterns []string, s string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, s); return ok })
	}
	return among(h.Events, e.Kind) && among(h.Sources, e.Source) && (len(h.Projects) == 0 || slices.Contains(h.Projects, e.Project))
}

// Where is a hook's address without what may be secret in it.
func (h *Hook) Where() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return ""
	}
	if h.Hidden {
		return u.Scheme + "://" + u.Host + "/..."
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Delivery is the document that a receiver gets.
type Delivery struct {
	ID    string        `json:"id"` // the same if it comes again
	Hook  string        `json:"hook"`
	Test  bool          `json:"test,omitempty"` // nothing has happened: somebody tries the hook
	Event compute.Event `json:"event"`
}

// Position is how far a hook has come: what is kept of it.
type Position struct {
	// all events up to this one are told, or were not asked for
	After     int64     `json:"after"`
	Delivered int64     `json:"delivered,omitempty"` // so many were, ever
	Last      time.Time `json:"last,omitzero"`       // when one was last taken
	Failures  int       `json:"failures,omitempty"`  // in a row, of the one that is next
	Since     time.Time `json:"since,omitzero"`      // when the first of these was
	Error     string    `json:"error,omitempty"`     // of the last of these
	Retry     time.Time `json:"retry,omitzero"`      // when it is tried again
}

// due is when the next one is tried again: not later than a receiver may ask for, as it may have
// been said by a clock that was set back since.
func (p Position) due(now time.Time) time.Time {
	if latest := now.Add(mostAfter); p.Retry.After(latest) {
		return latest
	}
	return p.Retry
}

// Journal is where events come from and where positions are kept.
type Journal interface {
	Events(ctx context.Context, q compute.EventQuery) ([]compute.Event, error)
	// Position returns what is kept of a hook; compute.ErrNotFound: nothing yet.
	Position(ctx context.Context, hook string) (Position, error)
	// Keep keeps it, unless what is kept has come farther.
	Keep(ctx context.Context, hook string, p Position) error
}

// Options join deliveries to their surroundings. Journal and Installation are required.
type Options struct {
	Hooks        []Hook
	Journal      Journal
	Installation string
	Version      string
	// Leads says whether this process is to deliver; nil: it is. Of several controllers one does.
	Leads func() bool
	// Observe hears of each try; result is "ok" or "failed". nil: nobody does.
	Observe func(hook, result string, took time.Duration)
	Log     *slog.Logger // nil: none
	// Guard judges what the hooks' addresses lead to: they themselves are the operator's to name.
	// nil: all is reached.
	Guard *fetch.Guard
	// Look is how often the journal is looked at; 0: half a second.
	Look time.Duration
	// Pause is how long a hook waits after so many failures in a row; nil: twice as long each time,
	// from a second to ten minutes.
	Pause func(failures int) time.Duration
}

const (
	some     = 200              // events are read at once
	keepEach = time.Second      // so often a position is kept at least while deliveries go on
	keepIdle = time.Minute      // and so often what was only passed over
	skipLook = 2 * time.Second  // a hook that waits looks so often whether it was told not to
	usual    = 10 * time.Second // for a delivery
)

// Sender delivers.
type Sender struct {
	opt    Options
	client *http.Client
}

// New makes a sender. It starts nothing.
func New(opt Options) *Sender {
	opt.Look = cmp.Or(opt.Look, 500*time.Millisecond)
	if opt.Leads == nil {
		opt.Leads = func() bool { return true }
	}
	if opt.Observe == nil {
		opt.Observe = func(string, string, time.Duration) {}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Pause == nil {
		opt.Pause = func(failures int) time.Duration {
			most := min(time.Second<<min(failures-1, 12), 10*time.Minute)
			return most/2 + rand.N(most/2) // spread, so that many hooks do not come back at once
		}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 1
	way := http.RoundTripper(t)
	if opt.Guard != nil {
		var own fetch.Rules
		for i := range opt.Hooks {
			own = append(own, fetch.Named(opt.Hooks[i].URL)...)
		}
		way = opt.Guard.And(own).Transport(t)
	}
	return &Sender{
		opt:    opt,
		client: &http.Client{Transport: way, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// Run delivers until ctx ends. Each hook goes at its own pace.
func (s *Sender) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range s.opt.Hooks {
		all.Go(func() { s.serve(ctx, &s.opt.Hooks[i]) })
	}
	all.Wait()
	s.client.CloseIdleConnections()
}

// serve delivers to one hook for as long as we lead, and waits where we do not.
func (s *Sender) serve(ctx context.Context, h *Hook) {
	for ctx.Err() == nil {
		if !s.opt.Leads() {
			s.sleep(ctx, s.opt.Look)
			continue
		}
		if err := s.lead(ctx, h); err != nil && ctx.Err() == nil {
			s.opt.Log.Warn("a webhook cannot go on", "webhook", h.Name, "err", err)
			s.sleep(ctx, 10*s.opt.Look)
		}
	}
}

// walk is a hook on its way through the journal.
type walk struct {
	s      *Sender
	h      *Hook
	p      Position
	kept   time.Time // when p was last kept
	dirty  bool      // something was delivered since
	secret string
}

// lead delivers to a hook until we lead no more.
func (s *Sender) lead(ctx context.Context, h *Hook) error {
	p, err := s.begin(ctx, h)
	if err != nil {
		return err
	}
	w := &walk{s: s, h: h, p: p, kept: time.Now()}
	defer func() {
		if s.opt.Leads() { // else another does, who keeps it
			short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = w.keep(short) // what is not kept is delivered again
		}
	}()
	for ctx.Err() == nil && s.opt.Leads() {
		found, err := s.opt.Journal.Events(ctx, compute.EventQuery{After: w.p.After, Limit: some})
		if err != nil {
			return err
		}
		for _, e := range found {
			if e.ID <= w.p.After {
				continue // given up
			}
			if h.wants(&e) && !w.deliver(ctx, e) {
				return nil
			}
			w.p.After = max(w.p.After, e.ID)
			if since := time.Since(w.kept); w.dirty && since > keepEach || since > keepIdle {
				if err := w.keep(ctx); err != nil {
					return err
				}
			}
		}
		if len(found) < some {
			if w.dirty {
				if err := w.keep(ctx); err != nil {
					return err
				}
			}
			s.sleep(ctx, s.opt.Look)
		}
	}
	return nil
}

// begin is where a hook stands. A new one begins with what happens from now on, and that is kept at
// once.
func (s *Sender) begin(ctx context.Context, h *Hook) (Position, error) {
	p, err := s.opt.Journal.Position(ctx, h.Name)
	if !errors.Is(err, compute.ErrNotFound) {
		return p, err
	}
	last, err := s.opt.Journal.Events(ctx, compute.EventQuery{Newest: 1})
	if err != nil {
		return p, err
	}
	for _, e := range last {
		p.After = e.ID
	}
	return p, s.opt.Journal.Keep(ctx, h.Name, p)
}

func (w *walk) keep(ctx context.Context) error {
	err := w.s.opt.Journal.Keep(ctx, w.h.Name, w.p)
	if err == nil {
		w.kept, w.dirty = time.Now(), false
	}
	return err
}

// deliver tells one event, for as long as it takes. It is false where it was not told, because we
// are to stop.
func (w *walk) deliver(ctx context.Context, e compute.Event) bool {
	s := w.s
	d := Delivery{ID: s.opt.Installation + "-" + strconv.FormatInt(e.ID, 10), Hook: w.h.Name, Event: e}
	w.p.Retry = w.p.due(time.Now())
	for wait := time.Until(w.p.Retry); ; {
		for ; wait > 0 && ctx.Err() == nil && s.opt.Leads(); wait = time.Until(w.p.Retry) {
			s.sleep(ctx, min(wait, skipLook))
			// somebody has given this one up
			if p, err := s.opt.Journal.Position(ctx, w.h.Name); err == nil && p.After >= e.ID {
				w.p = p
				return true
			}
		}
		if ctx.Err() != nil || !s.opt.Leads() {
			return false
		}
		err := error(nil)
		if w.secret == "" {
			w.secret, err = w.h.Secret(ctx)
		}
		var after time.Duration
		if err == nil {
			_, after, err = s.post(ctx, w.h, w.secret, d)
		}
		if ctx.Err() != nil && err != nil {
			return false
		}
		if err == nil {
			if w.p.Failures > 0 {
				s.opt.Log.Info("a webhook is taken again", "webhook", w.h.Name, "failures", w.p.Failures)
			}
			w.p = Position{After: e.ID, Delivered: w.p.Delivered + 1, Last: time.Now()}
			w.dirty = true
			return true
		}
		if w.p.Failures++; w.p.Failures == 1 {
			w.p.Since = time.Now()
			s.opt.Log.Warn("a webhook is not taken; it is tried again, and what follows waits", "webhook", w.h.Name, "err", err)
		}
		w.p.Error = err.Error()
		wait = max(s.opt.Pause(w.p.Failures), after)
		w.p.Retry = time.Now().Add(wait)
		w.secret = "" // it may have been changed meanwhile
		if err := w.keep(ctx); err != nil {
			s.opt.Log.Warn("how far a webhook has come is not kept", "webhook", w.h.Name, "err", err)
		}
	}
}

// mostAfter is how long a receiver may ask us to wait.
const mostAfter = time.Hour

// post makes one delivery. after is how long the receiver wants to be left alone.
func (s *Sender) post(ctx context.Context, h *Hook, secret string, d Delivery) (status int, after time.Duration, err error) {
	begin := time.Now()
	defer func() {
		result := "ok"
		if err != nil {
			result = "failed"
		}
		s.opt.Observe(h.Name, result, time.Since(begin))
	}()
	body, err := json.Marshal(d)
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(h.Timeout, usual))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return 0, 0, errors.New("the address is none")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "hostler/"+s.opt.Version)
	r.Header.Set(EventHeader, d.Event.Kind)
	r.Header.Set(DeliveryHeader, d.ID)
	r.Header.Set(SignatureHeader, Sign(secret, begin, body))
	answer, err := s.client.Do(r)
	if err != nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err // without the address, which may have a secret in it
		}
		return 0, 0, err
	}
	defer answer.Body.Close()
	// so that the connection is used again
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode/100 == 2 {
		return answer.StatusCode, 0, nil
	}
	if n, err := strconv.Atoi(strings.TrimSpace(answer.Header.Get("Retry-After"))); err == nil && n > 0 {
		after = min(time.Duration(min(n, 1<<20))*time.Second, mostAfter)
	}
	err = fmt.Errorf("it answers %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if answer.StatusCode/100 == 3 {
		err = fmt.Errorf("%w, and redirects are not followed", err)
	}
	return answer.StatusCode, after, err
}

// Skip gives up what a hook has not told yet: it goes on with what happens from now on.
func (s *Sender) Skip(ctx context.Context, hook string) error {
	p, err := s.opt.Journal.Position(ctx, hook)
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	last, err := s.opt.Journal.Events(ctx, compute.EventQuery{Newest: 1})
	if err != nil || len(last) == 0 {
		return err
	}
	return s.opt.Journal.Keep(ctx, hook, Position{After: last[0].ID, Delivered: p.Delivered, Last: p.Last})
}

// Test makes one delivery of an event that did not happen, without a second try.
func (s *Sender) Test(ctx context.Context, h Hook) (status int, took time.Duration, err error) {
	begin := time.Now()
	secret, err := h.Secret(ctx)
	if err != nil {
		return 0, 0, err
	}
	d := Delivery{ID: s.opt.Installation + "-test-" + strconv.FormatInt(begin.UnixNano(), 36), Hook: h.Name, Test: true,
		Event: compute.Event{Time: begin, Kind: "test", Text: "somebody tries this webhook"}}
	status, _, err = s.post(ctx, &h, secret, d)
	return status, time.Since(begin), err
}

func (s *Sender) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
