package master

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/slap"
)

// rpc serves the JSON API.
type rpc struct {
	master *Master
	opt    LegacyOptions
}

// message is a call of a method of the JSON API, on its way.
type message struct {
	*slap.Call
	r   *http.Request
	who Who
}

// JSON is the handler of the JSON API: a POST for each method. GET /slapos.schema.NAME is the JSON
// Schema of what a method takes.
func (m *Master) JSON(opt LegacyOptions) http.Handler {
	s := &rpc{m, opt.whole()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if of, ok := strings.CutPrefix(name, "slapos.schema."); ok {
			serveSchema(w, r, of)
			return
		}
		method, ok := slap.FindMethod(name)
		switch {
		case !ok:
			answerError(w, http.StatusNotFound, "The JSON API has no such method.")
			return
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			answerError(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
			return
		case !takesJSON(r.Header.Values("Accept")):
			answerFailure(w, http.StatusNotAcceptable, "Only application/json can be answered, which Accept does not have.", "")
			return
		}
		v, err := s.call(w, r, method)
		if err == nil {
			err = answerJSON(w, http.StatusOK, v)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

func (s *rpc) call(w http.ResponseWriter, r *http.Request, method *slap.Method) (any, error) {
	who, err := s.opt.Who(r)
	if err != nil {
		return nil, err
	}
	body, err := readJSON(w, r)
	if err != nil {
		return nil, err
	}
	c, err := method.Decode(body)
	if err != nil {
		return nil, unwell(err)
	}
	about(r.Context(), c.Title, c.Instance, c.Computer, c.Partition, c.Release, c.State, c.ReportedState)
	return rpcMethods[method.Name](s, &message{c, r, who})
}

// readJSON reads a body that is to be JSON, up to maxForm bytes of it.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// A page of another site can send what it likes to a master that asks nobody who he is, but not
	// with this type.
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return nil, invalid("Content-Type is not application/json, in which the body is to be")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if _, large := errors.AsType[*http.MaxBytesError](err); err != nil && !large {
		return nil, invalid("the body cannot be read: %v", err)
	}
	return body, err
}

// fail answers what went wrong: what is refused is forbidden, whatever the reason.
func (s *rpc) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody hears it
	}
	refusal, refused := errors.AsType[*Refusal](err)
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		answerFailure(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.Itoa(maxForm)+" bytes", "")
	case refused && refusal.Kind == compute.ErrInvalid:
		answerFailure(w, http.StatusBadRequest, refusal.Text, refusal.Detail)
	case refused:
		answerFailure(w, http.StatusForbidden, refusal.Text, refusal.Detail)
	case errors.Is(err, compute.ErrDenied):
		answerFailure(w, http.StatusForbidden, err.Error(), "")
	case errors.Is(err, compute.ErrUnavailable):
		s.master.log.Error("a request to the SlapOS master", "path", r.URL.Path, "err", err)
		answerFailure(w, http.StatusServiceUnavailable, "The master cannot answer this now; its log says why.", "")
	default:
		s.master.log.Error("a request to the SlapOS master", "path", r.URL.Path, "err", err)
		answerFailure(w, http.StatusInternalServerError, "Internal server error", "")
	}
}

func answerFailure(w http.ResponseWriter, status int, title, detail string) {
	_ = answerJSON(w, status, slap.Failure{Status: status, Type: http.StatusText(status), Title: title, Detail: detail})
}

// answerJSON writes a document; what cannot be written is an error, and nothing was sent.
func answerJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // secrets stand in it
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // who does not hear it has gone
	return nil
}

func serveSchema(w http.ResponseWriter, r *http.Request, name string) {
	method, ok := slap.FindMethod(name)
	switch {
	case !ok:
		answerFailure(w, http.StatusNotFound, "The JSON API has no such method.", "")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", http.MethodGet)
		answerFailure(w, http.StatusMethodNotAllowed, "A schema is read with GET.", "")
	default:
		_ = answerJSON(w, http.StatusOK, method.Schema())
	}
}

// takesJSON says whether who sends these Accept headers takes JSON: of what they have about it, the
// most exact counts.
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
