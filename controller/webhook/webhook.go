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
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/policy/fetch"
)

// Hook is one receiver, and what it asks for.
type Hook struct {
	Name string
	// https://; also http:// on this machine, or anywhere if Plain
	URL string
	// returns the key of signatures; called at the start, and again after an error
	Secret func(ctx context.Context) (string, error)
	// patterns of kinds, with * and ?; none: all
	Events []string
	// patterns of sources; none: all, and events of no source
	Sources []string
	// names of projects; none: all
	Projects []string
	Timeout  time.Duration // of a delivery; 0: 10 s
	// http:// may go anywhere, although others on the way can read it
	Plain  bool
	Hidden bool // the path of URL is secret
}

// Check returns what is wrong with a hook's address or patterns.
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

// NoKind is the error for a pattern that matches no kind of event.
type NoKind struct{ Pattern string }

// Error names the pattern and the known kinds.
func (e *NoKind) Error() string {
	return fmt.Sprintf("events: %q is no kind of event: there are %s", e.Pattern, strings.Join(Kinds(), ", "))
}

// Kinds returns the kinds of all events.
func Kinds() []string {
	return []string{
		string(compute.Creating), string(compute.SettingUp), "made", string(compute.Ready), string(compute.Leased),
		"released", string(compute.Cleaning), "cleaned",
		string(compute.Failed), string(compute.Held), string(compute.Discarding), "gone", "discard-failed",
		"hook-failed", "paused", "unreachable", "reachable", "elsewhere", "stray", "unqueued", "unserved", "clock",
		"directive", "directive-done", "directive-failed", "directive-lost", "quarantined", "alarm", "alarm-over",
		string(plan.VerbStart), string(plan.VerbStop),
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

// Where returns a hook's address without its secret parts.
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
	ID    string        `json:"id"` // the same if it is repeated
	Hook  string        `json:"hook"`
	Test  bool          `json:"test,omitempty"` // a test: nothing has happened
	Event compute.Event `json:"event"`
}

// Position is the stored state of a hook.
type Position struct {
	// all events up to this id were delivered, or not asked for
	After     int64     `json:"after"`
	Delivered int64     `json:"delivered,omitempty"` // how many were, ever
	Last      time.Time `json:"last,omitzero"`       // when the last one was delivered
	Failures  int       `json:"failures,omitempty"`  // failures of the next delivery in a row
	Since     time.Time `json:"since,omitzero"`      // when the first of these was
	Error     string    `json:"error,omitempty"`     // of the last of these
	Retry     time.Time `json:"retry,omitzero"`      // when it is tried again
}

// due returns when to try again. It is at most mostAfter from now, as Retry may be from a clock
// that was set back since.
func (p Position) due(now time.Time) time.Time {
	if latest := now.Add(mostAfter); p.Retry.After(latest) {
		return latest
	}
	return p.Retry
}

// Journal has the events, and keeps the positions.
type Journal interface {
	Events(ctx context.Context, q inventory.EventQuery) ([]compute.Event, error)
	// Position returns a hook's position; compute.ErrNotFound: there is none yet.
	Position(ctx context.Context, hook string) (Position, error)
	// Keep stores a position, unless the stored one is farther.
	Keep(ctx context.Context, hook string, p Position) error
}

// Options join deliveries to their surroundings. Journal and Installation are required.
type Options struct {
	Hooks        []Hook
	Journal      Journal
	Installation string
	Version      string
	// Leads reports whether this process is to deliver, as one of several controllers does; nil: it
	// is.
	Leads func() bool
	// Observe is called for each attempt; result is "ok" or "failed". nil: it is not called.
	Observe func(hook, result string, took time.Duration)
	Log     *slog.Logger // nil: none
	// Guard limits where deliveries may go, besides the hooks' own addresses. nil: no limit.
	Guard *fetch.Guard
	// Look is how often to read the journal; 0: half a second.
	Look time.Duration
	// Pause returns how long to wait after so many failures in a row; nil: doubling, from a second
	// to ten minutes.
	Pause func(failures int) time.Duration
}

const (
	some     = 200              // events read at a time
	keepEach = time.Second      // how often a position is stored during deliveries
	keepIdle = time.Minute      // how often it is stored when events were only skipped
	skipLook = 2 * time.Second  // how often a waiting hook checks whether it was told to skip
	usual    = 10 * time.Second // timeout of a delivery
)

// Sender delivers events to the hooks of one configuration.
type Sender struct {
	opt    Options
	client *http.Client
}

// New makes a Sender. It starts nothing.
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
			return most/2 + rand.N(most/2) // random, so that many hooks do not come back at once
		}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 1
	way := http.RoundTripper(t)
	if opt.Guard != nil {
		var own fetch.Rules
		for i := range opt.Hooks {
			own = append(own, fetch.RulesFor(opt.Hooks[i].URL)...)
		}
		way = opt.Guard.And(own).Transport(t)
	}
	return &Sender{
		opt:    opt,
		client: &http.Client{Transport: way, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// Run delivers until ctx ends. Hooks are independent of each other.
func (s *Sender) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i := range s.opt.Hooks {
		all.Go(func() { s.serve(ctx, &s.opt.Hooks[i]) })
	}
	all.Wait()
	s.client.CloseIdleConnections()
}

// serve delivers to one hook while this process leads, and waits otherwise.
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

// walk is the way of a hook through the journal.
type walk struct {
	s      *Sender
	h      *Hook
	p      Position
	kept   time.Time // when p was last stored
	dirty  bool      // something was delivered since
	secret string
}

// lead delivers to a hook until this process no longer leads.
func (s *Sender) lead(ctx context.Context, h *Hook) error {
	p, err := s.begin(ctx, h)
	if err != nil {
		return err
	}
	w := &walk{s: s, h: h, p: p, kept: time.Now()}
	defer func() {
		if s.opt.Leads() { // otherwise another process leads and stores it
			short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = w.keep(short) // what is not stored is delivered again
		}
	}()
	for ctx.Err() == nil && s.opt.Leads() {
		found, err := s.opt.Journal.Events(ctx, inventory.EventQuery{After: w.p.After, Limit: some})
		if err != nil {
			return err
		}
		for _, e := range found {
			if e.ID <= w.p.After {
				continue // it was skipped
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

// begin returns a hook's position. A new hook begins with the next event, and that is stored at
// once.
func (s *Sender) begin(ctx context.Context, h *Hook) (Position, error) {
	p, err := s.opt.Journal.Position(ctx, h.Name)
	if !errors.Is(err, compute.ErrNotFound) {
		return p, err
	}
	last, err := s.opt.Journal.Events(ctx, inventory.EventQuery{Newest: 1})
	if err != nil {
		return p, err
	}
	for _, e := range last {
		p.After = e.ID
	}
	return p, s.opt.Journal.Keep(ctx, h.Name, p)
}

// keep stores the hook's position.
func (w *walk) keep(ctx context.Context) error {
	err := w.s.opt.Journal.Keep(ctx, w.h.Name, w.p)
	if err == nil {
		w.kept, w.dirty = time.Now(), false
	}
	return err
}

// deliver delivers one event, and tries until it succeeds. It returns false if the process must
// stop first.
func (w *walk) deliver(ctx context.Context, e compute.Event) bool {
	s := w.s
	d := Delivery{ID: s.opt.Installation + "-" + strconv.FormatInt(e.ID, 10), Hook: w.h.Name, Event: e}
	w.p.Retry = w.p.due(time.Now())
	for wait := time.Until(w.p.Retry); ; {
		for ; wait > 0 && ctx.Err() == nil && s.opt.Leads(); wait = time.Until(w.p.Retry) {
			s.sleep(ctx, min(wait, skipLook))
			// the event may have been skipped
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
		w.secret = "" // it may have changed meanwhile
		if err := w.keep(ctx); err != nil {
			s.opt.Log.Warn("how far a webhook has come is not kept", "webhook", w.h.Name, "err", err)
		}
	}
}

// mostAfter is the longest wait that a receiver may ask for.
const mostAfter = time.Hour

// post makes one attempt. after is how long the receiver asks to wait.
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
	r.Header.Set(eventHeader, d.Event.Kind)
	r.Header.Set(deliveryHeader, d.ID)
	r.Header.Set(SignatureHeader, sign(secret, begin, body))
	answer, err := s.client.Do(r)
	if err != nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err // without the address, which may contain a secret
		}
		return 0, 0, err
	}
	defer answer.Body.Close()
	// so that the connection is reused
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

// Skip drops the events that a hook was not told of yet; it goes on with the next one.
func (s *Sender) Skip(ctx context.Context, hook string) error {
	p, err := s.opt.Journal.Position(ctx, hook)
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	last, err := s.opt.Journal.Events(ctx, inventory.EventQuery{Newest: 1})
	if err != nil || len(last) == 0 {
		return err
	}
	return s.opt.Journal.Keep(ctx, hook, Position{After: last[0].ID, Delivered: p.Delivered, Last: p.Last})
}

// Test makes one attempt to deliver an invented event.
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
