package wire

import (
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"mime"
	"net/http"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// OwnSite refuses what a page of another site has a browser ask for.
func OwnSite(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return nil
	}
	return access.Denied("Asked for by a page of another site.")
}

// ReadJSON reads a body that is to be JSON, up to MaxForm bytes of it.
func ReadJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// A page of another site can send any request to a master without authentication, but not with
	// this type.
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return nil, access.Invalid("Content-Type is not application/json, in which the body is to be")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxForm))
	if _, large := errors.AsType[*http.MaxBytesError](err); err != nil && !large {
		return nil, access.Invalid("the body cannot be read: %v", err)
	}
	return body, err
}

// AnswerFailure refuses with a JSON document.
func AnswerFailure(w http.ResponseWriter, status int, title, detail string) {
	_ = AnswerJSON(w, status, jsonapi.Failure{Status: status, Type: http.StatusText(status), Title: title, Detail: detail})
}

// AnswerJSON writes a document. If it cannot be encoded that is an error, and nothing was sent.
func AnswerJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // secrets stand in it
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // else the caller has gone
	return nil
}

// MaxForm is how much a form may have. The configuration of a computer with a hundred partitions is
// one of 600 kB.
const MaxForm = 4 << 20

// statusOf is the HTTP status of a refusal in the legacy endpoints; 500 for another error.
func statusOf(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	for _, k := range []struct {
		kind   error
		status int
	}{
		{client.ErrNotReady, http.StatusRequestTimeout}, {compute.ErrNotFound, http.StatusNotFound},
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

// FailPage answers what went wrong, as a page.
func FailPage(log *slog.Logger, w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the caller has gone
	}
	status, reason := statusOf(err), err.Error()
	if refusal, ok := errors.AsType[*access.Refusal](err); ok {
		reason = refusal.Reason()
	} else if status == http.StatusInternalServerError || status == http.StatusServiceUnavailable {
		log.Error("a request to the SlapOS master", "path", r.URL.Path, "err", err)
		reason = "The master cannot answer this now; its log says why."
	}
	AnswerPage(w, status, reason)
}

var errorPage = template.Must(
	template.New("").Parse(
		"<!doctype html>\n<html lang=en>\n<title>{{.Status}} {{.Text}}</title>\n<h1>{{.Text}}</h1>\n<p>{{.Reason}}</p>\n",
	),
)

// AnswerPage refuses with a page of HTML.
func AnswerPage(w http.ResponseWriter, status int, reason string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = errorPage.Execute(w, struct {
		Status       int
		Text, Reason string
	}{status, http.StatusText(status), reason})
}
