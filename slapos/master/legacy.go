package master

import (
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// maxForm is how much a form may have. The configuration of a computer with a hundred partitions is
// one of 600 kB.
const maxForm = 4 << 20

// LegacyOptions join the legacy endpoints to their surroundings.
type LegacyOptions struct {
	// Who says who makes a request; an error is a Refusal, or compute.ErrDenied. nil: nobody is
	// asked, and anybody may do everything.
	Who func(r *http.Request) (Who, error)
	// Base is the URL under which clients see the endpoints, which ends in /; nil: as the request
	// has it.
	Base func(r *http.Request) string
	// Token says whose a token is that is shown for a certificate and is none of the master's own;
	// an error is as Who's. nil: such a one is nobody's.
	Token func(r *http.Request, token string) (Who, error)
	// Ending is closed when the server is to end: who waits for a change is answered then, that
	// there was none. nil: never.
	Ending <-chan struct{}
}

// legacy serves the endpoints.
type legacy struct {
	master  *Master
	opt     LegacyOptions
	repeats repeats
}

// call is a request to an endpoint.
type call struct {
	r    *http.Request
	w    http.ResponseWriter
	who  Who
	form url.Values // of the query, or of the body
	key  repeatKey  // of a request for an instance that may be answered without a look at it
}

// endpoint answers a call: with a text, an unless, or a value that is written as one.
type endpoint func(l *legacy, c *call) (any, error)

// noSuchEndpoint is what is said of an endpoint that is not there.
const noSuchEndpoint = "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."

// Legacy is the handler of the legacy endpoints.
func (m *Master) Legacy(opt LegacyOptions) http.Handler {
	l := &legacy{master: m, opt: opt.whole()}
	mux := http.NewServeMux()
	for path, fn := range legacyReads {
		mux.Handle("GET /"+path, l.serve(fn, false))
	}
	for path, fn := range legacyWrites {
		mux.Handle("POST /"+path, l.serve(fn, path == "requestComputerPartition"))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		status, text := http.StatusNotFound, noSuchEndpoint
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" {
				w.Header().Set("Allow", method)
				status, text = http.StatusMethodNotAllowed, "The method is not allowed for the requested URL."
			}
		}
		answerError(w, status, text)
	})
	return mux
}

// serve serves an endpoint; kept: what it answers is kept for those who ask the same again.
func (l *legacy) serve(fn endpoint, kept bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{r: r, w: w}
		var err error
		c.who, err = l.opt.Who(r)
		if err == nil && kept {
			var done bool
			if done, err = l.again(c); done {
				return
			}
		}
		if err == nil {
			err = c.read()
			about(r.Context(), c.about())
		}
		var v any
		if err == nil {
			v, err = fn(l, c)
		}
		if err == nil {
			err = c.answer(v)
		}
		if err != nil {
			fail(l.master.log, w, r, err)
		}
	})
}

// read reads the parameters.
func (c *call) read() error {
	if c.r.Method != http.MethodPost {
		var err error
		if c.form, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
			return invalid("the query cannot be read: %v", err)
		}
		return nil
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxForm)
	if err := c.r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return err
		}
		return invalid("the form cannot be read: %v", err)
	}
	c.form = c.r.PostForm
	return nil
}

// need is a parameter that must be there.
func (c *call) need(names ...string) error {
	for _, name := range names {
		if !c.form.Has(name) {
			return invalid("%s: this field is missing", name)
		}
	}
	return nil
}

// about is what a request is about, for who keeps a record of such.
func (c *call) about() string {
	return row(
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
		if body, err = slap.Marshal(v); err != nil {
			return unwell(err)
		}
	}
	h := c.w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = c.w.Write(body) // who does not hear it has gone
	return nil
}

// text is an answer that is no document.
type text string

// unless is a document that is not sent to who has it already.
type unless struct {
	body []byte
	tag  string
}

// StatusOf is the HTTP status of what a master refuses, in the legacy endpoints; 500: it is no
// refusal.
func StatusOf(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	for _, k := range []struct {
		kind   error
		status int
	}{
		{slap.ErrNotReady, http.StatusRequestTimeout}, {compute.ErrNotFound, http.StatusNotFound},
		{compute.ErrNoCapacity, http.StatusNotFound},
		{compute.ErrInvalid, http.StatusBadRequest}, {compute.ErrDenied, http.StatusForbidden}, {compute.ErrConflict, http.StatusConflict},
		{compute.ErrUnavailable, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, k.kind) {
			return k.status
		}
	}
	return http.StatusInternalServerError
}

// fail answers what went wrong, as a page.
func fail(log *slog.Logger, w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody hears it
	}
	status, reason := StatusOf(err), err.Error()
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		reason = refusal.Reason()
	} else if status == http.StatusInternalServerError || status == http.StatusServiceUnavailable {
		log.Error("a request to the SlapOS master", "path", r.URL.Path, "err", err)
		reason = "The master cannot answer this now; its log says why."
	}
	answerError(w, status, reason)
}

var errorPage = template.Must(
	template.New("").Parse(
		"<!doctype html>\n<html lang=en>\n<title>{{.Status}} {{.Text}}</title>\n<h1>{{.Text}}</h1>\n<p>{{.Reason}}</p>\n",
	),
)

func answerError(w http.ResponseWriter, status int, reason string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = errorPage.Execute(w, struct {
		Status       int
		Text, Reason string
	}{status, http.StatusText(status), reason})
}

// Base is the URL under which a request came, which ends in /: a proxy before us may say it by
// X-Forwarded-Proto and X-Forwarded-Prefix.
func Base(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if proto := r.Header.Get("X-Forwarded-Proto"); proto == "http" || proto == "https" {
		scheme = proto
	}
	u := url.URL{Scheme: scheme, Host: r.Host, Path: "/"}
	if prefix := r.Header.Get("X-Forwarded-Prefix"); prefix != "" {
		u = *u.JoinPath(prefix, "/")
	}
	return u.String()
}
