package parameter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/schema"
)

const (
	maxDocument = 4 << 20          // bytes of a schema
	patience    = 20 * time.Second // for one document
)

// A Release is what a software release says of itself in the file beside it, which has its name and
// .json.
type Release struct {
	URL         string // of that file
	Name        string
	Description string
	Types       []Type // by index, then name

	form string
}

// A Type is a variant of the software.
type Type struct {
	Name        string // that a request has
	Title       string
	Description string
	Shared      bool
	Form        string // XML or JSON
	Request     string // URL of the schema of parameters; "": there is none
	Response    string // URL of the schema of connection parameters
	Index       int

	local bool // the release is a file of this machine, and its schemas may be
}

// The name of the type that is meant where none is named, and an older one for it.
const (
	defaultType = "default"
	oldDefault  = "RootSoftwareInstance"
)

// Type is the variant of a name, shared or not.
func (r *Release) Type(name string, shared bool) (Type, bool) {
	if name == "" || name == oldDefault {
		name = defaultType
	}
	for _, t := range r.Types {
		if t.Name == name && t.Shared == shared {
			return t, true
		}
	}
	return Type{}, false
}

// Form is the form in which a variant wants its parameters.
func (r *Release) Form(name string, shared bool) string {
	if t, ok := r.Type(name, shared); ok {
		return t.Form
	}
	if t, ok := r.Type(name, !shared); ok {
		return t.Form
	}
	return r.form
}

// A Loader loads the files beside software releases, and the schemas to which these lead. A file
// from elsewhere cannot name files of this machine.
type Loader struct {
	HTTP *http.Client // nil is one with the usual settings
}

// Release loads the file beside a software release, which is a URL or a path. An error that is
// [os.ErrNotExist] says that there is none.
func (l *Loader) Release(ctx context.Context, release string) (*Release, error) {
	at, err := address(release)
	if err != nil {
		return nil, err
	}
	at += ".json"
	data, err := l.get(ctx, at, true)
	if err != nil {
		return nil, err
	}
	var file struct {
		Name          string `json:"name"`
		Description   string `json:"description"`
		Serialisation string `json:"serialisation"`
		Types         map[string]struct {
			Title         string  `json:"title"`
			Description   string  `json:"description"`
			Type          string  `json:"software-type"`
			Request       string  `json:"request"`
			Response      string  `json:"response"`
			Serialisation string  `json:"serialisation"`
			Shared        bool    `json:"shared"`
			Index         float64 `json:"index"`
		} `json:"software-type"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", shownURL(at), err)
	}
	r := &Release{URL: at, Name: file.Name, Description: file.Description, form: form(file.Serialisation, JSON)}
	for _, key := range slices.Sorted(maps.Keys(file.Types)) {
		of := file.Types[key]
		t := Type{
			Name: cmp.Or(of.Type, key), Title: of.Title, Description: of.Description, Shared: of.Shared,
			Form: form(of.Serialisation, r.form), Index: int(of.Index), local: strings.HasPrefix(at, "file:"),
		}
		if t.Name == oldDefault {
			t.Name = defaultType
		}
		if t.Request, err = join(at, of.Request); err != nil {
			return nil, err
		}
		if t.Response, err = join(at, of.Response); err != nil {
			return nil, err
		}
		r.Types = append(r.Types, t)
	}
	slices.SortStableFunc(r.Types, func(a, b Type) int { return a.Index - b.Index })
	return r, nil
}

// join is the URL of a schema that is named in the document at another; "" where none is named.
func join(at, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("%s: %.200q is no URL of a schema", shownURL(at), text)
	}
	base, err := url.Parse(at)
	if err != nil {
		return "", err
	}
	return base.ResolveReference(u).String(), nil
}

// form is one of the two forms; a word that is none of them is otherwise.
func form(word, otherwise string) string {
	switch word {
	case XML, JSON:
		return word
	case "":
		return otherwise
	}
	return JSON
}

// Check checks parameters, in the form in which they are sent, by the schema of a variant, and
// returns the faults. The error says that the schema cannot be used. A variant without one takes
// everything.
func (l *Loader) Check(ctx context.Context, t Type, parameters proto.Dictionary) ([]schema.Fault, error) {
	if t.Request == "" {
		return nil, nil
	}
	value := map[string]any{}
	for name, v := range parameters {
		value[name] = v
	}
	if text, ok := parameters["_"].(string); ok && t.Form == JSON {
		_, v, err := readJSON([]byte(text))
		if err != nil {
			return []schema.Fault{{At: "/_", Reason: "it is no JSON: " + err.Error()}}, nil
		}
		if object, ok := v.(map[string]any); ok {
			delete(object, "$schema")
		}
		return l.check(ctx, t, v)
	}
	delete(value, "$schema")
	return l.check(ctx, t, plain(value))
}

// check returns the faults of v by the schema of t, which it may have to load.
func (l *Loader) check(ctx context.Context, t Type, v any) ([]schema.Fault, error) {
	c := &schema.Checker{Load: func(ctx context.Context, at string) (any, error) {
		data, err := l.get(ctx, at, t.local)
		if err != nil {
			return nil, err
		}
		_, v, err := readJSON(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", shownURL(at), err)
		}
		return v, nil
	}}
	return c.Check(ctx, t.Request, v)
}

// plain is a value of the protocol as one of JSON.
func plain(v any) any {
	switch v := v.(type) {
	case proto.Dictionary:
		return plain(map[string]any(v))
	case proto.List:
		return plain([]any(v))
	case map[string]any:
		m := make(map[string]any, len(v))
		for name, member := range v {
			m[name] = plain(member)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = plain(item)
		}
		return list
	case nil, bool, string, float64, int, int64:
		return v
	}
	text, _ := proto.Text(v) // a very large number
	return json.Number(text)
}

// get reads a document; local says whether it may be a file of this machine.
func (l *Loader) get(ctx context.Context, at string, local bool) ([]byte, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, fmt.Errorf("%.200q is no URL of a schema", at)
	}
	switch u.Scheme {
	case "file":
		if !local {
			return nil, fmt.Errorf("%s: a schema from elsewhere names a file of this machine, which is not read", at)
		}
		f, err := os.Open(u.Path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return limited(f, u.Path)
	case "http", "https":
	default:
		return nil, fmt.Errorf("%s: a schema is a file or at an URL with http or https", shownURL(at))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shownURL(at), err)
	}
	request.Header.Set("Accept", "application/json, */*")
	client := l.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(request)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL: it may hold what is secret
		}
		return nil, fmt.Errorf("%s: %w", shownURL(at), err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", shownURL(at), os.ErrNotExist)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: it is answered with %d %s", shownURL(at), answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return limited(answer.Body, shownURL(at))
}

// limited reads r to its end; more than maxDocument bytes are an error.
func limited(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = fmt.Errorf("it has more than %d bytes", maxDocument)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// address is a software release as a URL.
func address(release string) (string, error) {
	u, err := url.Parse(release)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "file") {
		return release, nil
	}
	path, err := filepath.Abs(release)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: path}).String(), nil
}

// shownURL is a URL without the password that may stand in it.
func shownURL(at string) string {
	if u, err := url.Parse(at); err == nil {
		return u.Redacted()
	}
	return "…"
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// Schema loads the schema of a variant's parameters. nil: it has none.
func (l *Loader) Schema(ctx context.Context, t Type) (map[string]any, error) {
	if t.Request == "" {
		return nil, nil
	}
	data, err := l.get(ctx, t.Request, t.local)
	if err != nil {
		return nil, err
	}
	_, v, err := readJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shownURL(t.Request), err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: a schema is an object", shownURL(t.Request))
	}
	return object, nil
}
