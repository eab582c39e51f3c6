// Package legacy serves the legacy endpoints of a SlapOS master: forms by POST, queries by GET, and
// answers in XML or plain text.
package legacy

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
)

// endpoints serves the endpoints.
type endpoints struct {
	master  *master.Master
	opt     wire.Options
	answers answerCache
}

// call is a request to an endpoint.
type call struct {
	r    *http.Request
	w    http.ResponseWriter
	who  access.Who
	form url.Values // of the query, or of the body
	key  answerKey  // of a request for an instance that may be answered without a look at it
}

// endpoint answers a call: with a text, an unless, or a value that is written as one.
type endpoint func(l *endpoints, c *call) (any, error)

// New is the handler of the legacy endpoints.
func New(m *master.Master, opt wire.Options) http.Handler {
	l := &endpoints{master: m, opt: opt.Whole()}
	mux := http.NewServeMux()
	for path, fn := range readEndpoints {
		mux.Handle("GET /"+path, l.serve(fn, false))
	}
	for path, fn := range writeEndpoints {
		mux.Handle("POST /"+path, l.serve(fn, path == "requestComputerPartition"))
	}
	mux.Handle(personPath, l.enrols())
	mux.Handle(registerPath, l.enrols())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		status, text := http.StatusNotFound, access.NoSuchEndpoint
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" {
				w.Header().Set("Allow", method)
				status, text = http.StatusMethodNotAllowed, "The method is not allowed for the requested URL."
			}
		}
		wire.AnswerPage(w, status, text)
	})
	return mux
}

// Route is the name of the endpoint at a path; "": there is none.
func Route(path string) string {
	name := strings.TrimPrefix(path, "/")
	_, reads := readEndpoints[name]
	_, writes := writeEndpoints[name]
	if reads || writes || path == personPath || path == registerPath {
		return name
	}
	return ""
}

// Names are the names of the endpoints.
func Names() []string {
	return slices.Concat(slices.Collect(maps.Keys(readEndpoints)), slices.Collect(maps.Keys(writeEndpoints)))
}

// serve serves an endpoint. With kept, its answers are kept for callers that ask the same again.
func (l *endpoints) serve(fn endpoint, kept bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{r: r, w: w}
		var err error
		c.who, err = l.opt.Who(r)
		if err == nil && kept {
			var done bool
			if done, err = l.fromCache(c); done {
				return
			}
		}
		if err == nil {
			err = c.read()
			access.NoteAbout(r.Context(), c.about())
		}
		var v any
		if err == nil {
			v, err = fn(l, c)
		}
		if err == nil {
			err = c.answer(v)
		}
		if err != nil {
			wire.FailPage(l.master.Log(), w, r, err)
		}
	})
}

// read reads the parameters.
func (c *call) read() error {
	if c.r.Method != http.MethodPost {
		var err error
		if c.form, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
			return access.Invalid("the query cannot be read: %v", err)
		}
		return nil
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, wire.MaxForm)
	if err := c.r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return err
		}
		return access.Invalid("the form cannot be read: %v", err)
	}
	c.form = c.r.PostForm
	return nil
}

// need is a parameter that must be there.
func (c *call) need(names ...string) error {
	for _, name := range names {
		if !c.form.Has(name) {
			return access.Invalid("%s: this field is missing", name)
		}
	}
	return nil
}

// about is the subject of a request, for a caller that keeps a record of requests.
func (c *call) about() string {
	return access.Words(
		c.get("partition_reference"), c.get("new_name"), c.get("computer_title"), c.get("computer_id"),
		c.get("computer_partition_id"), c.get("slave_reference"), c.get("url"), c.get("state"),
	)
}

func (c *call) get(name string) string { return c.form.Get(name) }

// answer writes what an endpoint returns.
func (c *call) answer(v any) error {
	body, kind := []byte(nil), "text/xml; charset=utf-8"
	switch v := v.(type) {
	case text:
		body, kind = []byte(v), "text/plain; charset=utf-8"
	case unless:
		c.w.Header().Set("Content-Type", kind)
		if c.r.Header.Get("If-None-Match") == v.tag {
			c.w.WriteHeader(http.StatusNotModified)
			return nil
		}
		body = v.body
	case written:
		body = v
	default:
		var err error
		if body, err = proto.Marshal(v); err != nil {
			return access.Malformed(err)
		}
	}
	h := c.w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = c.w.Write(body) // else the caller has gone
	return nil
}

// text is an answer that is no document.
type text string

// unless is a document that is not sent to a caller that has it already.
type unless struct {
	body []byte
	tag  string
}
