// Package recording writes down what the allocator decides and all that it goes by, and decides
// again by what was written: allocate is pure, so the same view gives the same decision.
//
// A recording is a file of JSON lines. The first one has the format and the program. Each decision
// is a line with the request and the sources, a line for each thing that was read, and a line with
// the outcome. User data, labels, addresses, definitions of sources, and facts that no decision
// goes by are left out.
package recording

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
)

// version is the newest format.
const version = 1

// line is a line of a recording. It has one of them.
type line struct {
	Header   *header  `json:"recording,omitempty"`
	Decision *given   `json:"decision,omitempty"`
	Read     *read    `json:"read,omitempty"`
	Outcome  *Outcome `json:"outcome,omitempty"`
}

type header struct {
	Version int    `json:"version"`
	Program string `json:"program,omitempty"` // the version of the program that wrote it
}

// given is what a decision is given before it reads anything.
type given struct {
	Now     time.Time         `json:"now"`
	Worker  int64             `json:"worker"`
	Host    string            `json:"host,omitempty"`
	Quotas  bool              `json:"quotas,omitempty"`
	Sources []*source         `json:"sources"` // all that are configured, by name
	Request request           `json:"request"`
	Waiter  *inventory.Waiter `json:"waiter,omitempty"` // its place in the queue
	Skip    map[string]bool   `json:"skip,omitempty"`
	Hooked  bool              `json:"hooked,omitempty"`
	Checked bool              `json:"checked,omitempty"`
	ByHooks bool              `json:"by_hooks,omitempty"`
}

// request is a compute.Request without what calls back.
type request struct {
	compute.Request
	Still  *struct{} `json:",omitempty"`
	Notify *struct{} `json:",omitempty"`
}

// source is an allocate.Source without its definition.
type source struct {
	allocate.Source
	Err    *struct{} `json:",omitempty"`
	Broken string    `json:"broken,omitempty"` // the text of its error
}

// Outcome is what was decided.
type Outcome struct {
	Grants  []Grant     `json:"grants,omitempty"`
	Changes []Change    `json:"changes,omitempty"`
	Pending bool        `json:"pending,omitempty"` // the leases are not told yet
	Kind    string      `json:"kind,omitempty"`    // of the error; "": there is none
	Reason  string      `json:"reason,omitempty"`  // the error, for people
	Passed  []Candidate `json:"passed_over,omitempty"`
}

// Candidate is what was not taken.
type Candidate struct {
	Source   string     `json:"source"`
	Instance compute.ID `json:"instance,omitempty"` // "": a new one of the source
	Why      string     `json:"why"`
}

// candidates collects them, each once.
type candidates []Candidate

func (all *candidates) pass(s *allocate.Source, id compute.ID, why string) {
	if c := (Candidate{s.Name, id, why}); !slices.Contains(*all, c) {
		*all = append(*all, c)
	}
}

// Grant is an instance that the request gets.
type Grant struct {
	Source   string     `json:"source"`
	Instance compute.ID `json:"instance"`
	Lease    string     `json:"lease,omitempty"`
	Make     bool       `json:"make,omitempty"`   // it is to be made
	Verify   bool       `json:"verify,omitempty"` // it is checked before it is handed out
	Beside   bool       `json:"beside,omitempty"` // others have parts of it
	Behind   *Grant     `json:"behind,omitempty"` // of a pool: what it draws
}

// Change is what the decision changes in the store.
type Change struct {
	Do       string        `json:"do"`
	Instance compute.ID    `json:"instance,omitempty"`
	Waiter   int64         `json:"waiter,omitempty"`
	Cause    compute.Cause `json:"cause,omitempty"`
	Why      string        `json:"why,omitempty"`
}

var changes = [...]string{
	allocate.Leave: "leave", allocate.PassOver: "pass-over", allocate.Discard: "discard", allocate.Create: "create",
	allocate.HandStanding: "hand-standing", allocate.HandOut: "hand-out", allocate.HandPart: "hand-part",
}

// outcomeOf describes a decision.
func outcomeOf(got allocate.Result, err error, passed []Candidate) *Outcome {
	o := &Outcome{Pending: got.Pending && err == nil, Passed: passed}
	if err != nil {
		o.Kind, o.Reason = fault.KindOf(err).Error(), fault.Message(err)
		return o
	}
	for _, g := range got.Grants {
		o.Grants = append(o.Grants, *grantOf(g))
	}
	for _, c := range got.Changes {
		out := Change{Do: changes[c.Kind], Cause: c.Why.Cause, Why: c.Why.Text}
		switch {
		case c.Waiter != nil:
			out.Waiter = c.Waiter.ID
		case c.Grant != nil:
			out.Instance = c.Grant.Instance.ID
		case c.Instance != nil:
			out.Instance = c.Instance.ID
		}
		o.Changes = append(o.Changes, out)
	}
	return o
}

func grantOf(g *allocate.Grant) *Grant {
	out := &Grant{Source: g.Source.Name, Instance: g.Instance.ID, Make: g.Fresh, Verify: g.Verify, Beside: g.Joins}
	if g.Lease != nil {
		out.Lease = g.Lease.ID
	}
	if g.Child != nil {
		out.Behind = grantOf(g.Child)
	}
	return out
}

// Same reports whether two decisions are the same. Their texts may differ.
func (o Outcome) Same(other Outcome) bool {
	plain := func(o Outcome) string {
		o.Reason, o.Passed, o.Changes = "", nil, slices.Clone(o.Changes)
		for n := range o.Changes {
			o.Changes[n].Why = ""
		}
		text, _ := json.Marshal(o) // strings and numbers
		return string(text)
	}
	return plain(o) == plain(other)
}

// Recorder writes decisions down.
type Recorder struct {
	program string

	mu    sync.Mutex
	w     io.Writer
	began bool
	err   error
}

// NewRecorder returns a recorder that writes to w, and names the version of the program.
func NewRecorder(w io.Writer, program string) *Recorder { return &Recorder{w: w, program: program} }

// Err returns the first error of a write.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Record returns a view that notes what is read of v. done writes the decision down.
func (r *Recorder) Record(v *allocate.View, req allocate.Request) (noting *allocate.View, done func(allocate.Result, error)) {
	t := &tape{}
	g := &given{
		Now: v.Now, Worker: v.Worker, Host: v.Host, Quotas: v.Quotas, Request: request{Request: req.Request}, Waiter: req.Waiter,
		Skip: req.Skip, Hooked: req.Hooked, Checked: req.Checked, ByHooks: req.ByHooks,
	}
	hide(&g.Request.Request)
	for _, s := range v.Ordered {
		g.Sources = append(g.Sources, plainSource(s))
	}
	first, err := json.Marshal(line{Decision: g}) // now, as the decision changes records
	out := *v
	out.Reader, out.Surroundings, out.NewID = reader{t, v.Reader}, surroundings{t, v.Surroundings}, func() string {
		return tell(t, "NewID", nil, v.NewID)
	}
	var passed candidates
	out.Passed = passed.pass
	secret := demand.Digest(string(req.UserData))
	return &out, func(got allocate.Result, failed error) {
		lines := []line{{}}
		for _, n := range t.order {
			lines = append(lines, line{Read: n})
		}
		lines = append(lines, line{Outcome: outcomeOf(got, failed, passed)})
		r.write(lines, func(n int, text []byte) ([]byte, error) {
			if n == 0 {
				text = first
			}
			if secret != "" {
				text = bytes.ReplaceAll(text, []byte(secret), []byte(demand.Digest(hidden)))
			}
			return text, errors.Join(err, t.err)
		})
	}
}

// write writes lines at once.
func (r *Recorder) write(lines []line, change func(n int, text []byte) ([]byte, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all bytes.Buffer
	if !r.began {
		text, err := json.Marshal(line{Header: &header{version, r.program}})
		r.began, r.err = true, cmp.Or(r.err, err)
		all.Write(append(text, '\n'))
	}
	for n, l := range lines {
		text, err := json.Marshal(l)
		if err == nil {
			text, err = change(n, text)
		}
		if err != nil {
			r.err = cmp.Or(r.err, err)
			return
		}
		all.Write(append(text, '\n'))
	}
	_, err := r.w.Write(all.Bytes())
	r.err = cmp.Or(r.err, err)
}

// hidden stands in a recording for a request's user data.
const hidden = "not recorded"

// hide takes out of a request what nobody else is to read.
func hide(req *compute.Request) {
	if len(req.UserData) > 0 {
		req.UserData = []byte(hidden)
	}
	req.Labels, req.Purpose, req.Still, req.Notify = nil, "", nil, nil
}

// plainSource is a source as it is recorded.
func plainSource(s *allocate.Source) *source {
	out := &source{Source: *s}
	out.Definition, out.Source.Err = nil, nil
	if s.Err != nil {
		out.Broken = fault.Message(s.Err)
	}
	return out
}
