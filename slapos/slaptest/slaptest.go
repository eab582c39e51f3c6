// Package slaptest has what crossed the wire between the reference's clients, nodes and master:
// requests with their answers, vectors of the values' format, and the database that the master had
// in the end. Tests replay them, so that a client that sent those bytes is served.
//
// They are reduced to what means something: of the headers Host, Accept and Content-Type, of an
// error's page its reason, of a redirect its target. slaptest_test.go makes the files from the
// recordings.
package slaptest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

//go:embed exchanges.jsonl
var exchanges []byte

//go:embed values.json
var values []byte

//go:embed database.json
var database []byte

// An Exchange is a request and its answer.
type Exchange struct {
	// legacy, json-rpc, hateoas, multimaster/local-master, multimaster/external-master, not-ready,
	// node
	Set string `json:"set"`
	// the order of arrival within a set; json-rpc and hateoas go on where legacy ends, not-ready
	// where node does
	N      int    `json:"n"`
	Step   string `json:"step"` // the step that was tried
	Method string `json:"method"`
	Path   string `json:"path"` // with the query
	Host   string `json:"host,omitempty"`
	Accept string `json:"accept,omitempty"`
	Type   string `json:"type,omitempty"` // Content-Type
	Body   string `json:"body,omitempty"`
	Status int    `json:"status"`
	// the body; of an error in HTML the reason, of a redirect the target
	Answer string `json:"answer,omitempty"`
}

// Name is how a test calls an exchange.
func (e *Exchange) Name() string {
	path, _, _ := strings.Cut(e.Path, "?")
	return fmt.Sprintf("%s %03d (%s) %s %s", e.Set, e.N, e.Step, e.Method, path)
}

// Request is the request, for a handler.
func (e *Exchange) Request() *http.Request {
	r := httptest.NewRequest(e.Method, e.Path, strings.NewReader(e.Body))
	r.Host = e.Host
	for name, value := range map[string]string{"Accept": e.Accept, "Content-Type": e.Type} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}

// Form is the fields of the request's body; nil: it is no form.
func (e *Exchange) Form() url.Values {
	if e.Type != "application/x-www-form-urlencoded" {
		return nil
	}
	form, err := url.ParseQuery(e.Body)
	if err != nil {
		panic(err) // a test has read them all
	}
	return form
}

// Exchanges are all that were recorded in a set, in order; of all sets for "". They may be changed.
func Exchanges(t testing.TB, set string) []*Exchange {
	t.Helper()
	var all []*Exchange
	for line := range bytes.Lines(exchanges) {
		e := &Exchange{}
		if err := json.Unmarshal(line, e); err != nil {
			t.Fatal(err)
		}
		if set == "" || e.Set == set {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		t.Fatalf("there is no set %s", set)
	}
	return all
}

// Values are test vectors of the values' format and of parameters. write, read and refuse have
// values with their XML; instance has parameters with their XML and the result of reading that.
// {"$tuple": […]} stands for a tuple.
func Values() []byte { return bytes.Clone(values) }

// Database is what the tables of the reference's master, at version 17, had after the sets legacy
// and json-rpc: for each its columns, their types and its rows.
func Database() []byte { return bytes.Clone(database) }
