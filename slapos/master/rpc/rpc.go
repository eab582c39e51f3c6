// Package rpc serves the JSON API of a SlapOS master, and the methods that only our own nodes and
// clients know.
package rpc

import (
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// api serves the JSON API.
type api struct {
	master *master.Master
	opt    wire.Options
}

// message is a call of a method of the JSON API, on its way.
type message struct {
	*jsonapi.Call
	r   *http.Request
	who access.Who
}

// New is the handler of the JSON API: a POST for each method. GET /slapos.schema.NAME is the JSON
// Schema of a method's input. Methods that only our own peers know are beside them.
func New(m *master.Master, opt wire.Options) http.Handler {
	s := &api{m, opt.Whole()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case WatchPath:
			s.watch(w, r)
			return
		case reportPath:
			s.reports(w, r)
			return
		case revokePath:
			s.revokes(w, r)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if of, ok := strings.CutPrefix(name, "slapos.schema."); ok {
			serveSchema(w, r, of)
			return
		}
		method, ok := jsonapi.FindMethod(name)
		switch {
		case !ok:
			wire.AnswerPage(w, http.StatusNotFound, "The JSON API has no such method.")
			return
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			wire.AnswerPage(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
			return
		case !takesJSON(r.Header.Values("Accept")):
			wire.AnswerFailure(w, http.StatusNotAcceptable, "Only application/json can be answered, which Accept does not have.", "")
			return
		}
		v, err := s.call(w, r, method)
		if err == nil {
			err = wire.AnswerJSON(w, http.StatusOK, v)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// Serves says whether a path is one of the JSON API's.
func Serves(path string) bool {
	return strings.HasPrefix(path, "/slapos.") || path == WatchPath || path == reportPath || path == revokePath
}

// Route is the name of the method that a path calls; "": there is none.
func Route(path string) string {
	name := strings.TrimPrefix(path, "/")
	if _, ok := jsonapi.FindMethod(name); ok || path == WatchPath || path == reportPath || path == revokePath {
		return name
	}
	return ""
}

// Names are the names of the methods.
func Names() []string { return slices.Collect(maps.Keys(methods)) }

func (s *api) call(w http.ResponseWriter, r *http.Request, method *jsonapi.Method) (any, error) {
	who, err := s.opt.Who(r)
	if err != nil {
		return nil, err
	}
	body, err := wire.ReadJSON(w, r)
	if err != nil {
		return nil, err
	}
	c, err := method.Decode(body)
	if err != nil {
		return nil, access.Malformed(err)
	}
	access.NoteAbout(r.Context(), c.Title, c.Instance, c.Computer, c.Partition, c.Release, c.State, c.ReportedState)
	return methods[method.Name](s, &message{c, r, who})
}

// fail answers an error: a refusal is "forbidden", whatever its reason.
func (s *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the caller has gone
	}
	refusal, refused := errors.AsType[*access.Refusal](err)
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		wire.AnswerFailure(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.Itoa(wire.MaxForm)+" bytes", "")
	case refused && refusal.Kind == compute.ErrInvalid:
		wire.AnswerFailure(w, http.StatusBadRequest, refusal.Text, refusal.Detail)
	case refused:
		wire.AnswerFailure(w, http.StatusForbidden, refusal.Text, refusal.Detail)
	case errors.Is(err, compute.ErrDenied):
		wire.AnswerFailure(w, http.StatusForbidden, err.Error(), "")
	case errors.Is(err, compute.ErrUnavailable):
		s.master.Log().Error("a request to the SlapOS master", "path", r.URL.Path, "err", err)
		wire.AnswerFailure(w, http.StatusServiceUnavailable, "The master cannot answer this now; its log says why.", "")
	default:
		s.master.Log().Error("a request to the SlapOS master", "path", r.URL.Path, "err", err)
		wire.AnswerFailure(w, http.StatusInternalServerError, "Internal server error", "")
	}
}

func serveSchema(w http.ResponseWriter, r *http.Request, name string) {
	method, ok := jsonapi.FindMethod(name)
	switch {
	case !ok:
		wire.AnswerFailure(w, http.StatusNotFound, "The JSON API has no such method.", "")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", http.MethodGet)
		wire.AnswerFailure(w, http.StatusMethodNotAllowed, "A schema is read with GET.", "")
	default:
		_ = wire.AnswerJSON(w, http.StatusOK, method.Schema())
	}
}

// takesJSON says whether these Accept headers take JSON: of the ranges that match it, the most
// exact counts.
func takesJSON(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	best, takes := 0, false
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, parameters, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		exact := map[string]int{"*/*": 1, "application/*": 2, "application/json": 3}[kind]
		if exact == 0 || exact < best {
			continue
		}
		q, err := strconv.ParseFloat(parameters["q"], 64)
		best, takes = exact, err != nil || q > 0
	}
	return takes
}
