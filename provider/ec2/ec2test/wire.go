package ec2test

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// namespace is that of the API's version.
const namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"

// elem is an XML element: a text or other elements in it.
type elem struct {
	name string
	text string
	kids []elem
}

func el(name string, kids ...elem) elem { return elem{name: name, kids: kids} }

func tx(name string, value any) elem {
	if t, ok := value.(time.Time); ok {
		value = t.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return elem{name: name, text: fmt.Sprint(value)}
}

// set returns a list in EC2's form.
func set[T any](name string, of []T, item func(T) []elem) elem {
	out := el(name)
	for _, x := range of {
		out.kids = append(out.kids, el("item", item(x)...))
	}
	return out
}

// write appends the element as XML. Its name may have attributes, which the end tag leaves out.
func (e elem) write(b *strings.Builder) {
	fmt.Fprintf(b, "<%s>", e.name)
	_ = xml.EscapeText(b, []byte(e.text)) // writes to a Builder never fail
	for _, k := range e.kids {
		k.write(b)
	}
	name, _, _ := strings.Cut(e.name, " ")
	fmt.Fprintf(b, "</%s>", name)
}

// answer writes the response to an action.
func answer(w http.ResponseWriter, action, request string, kids []elem) {
	var b strings.Builder
	b.WriteString(xml.Header)
	body := append([]elem{tx("requestId", request)}, kids...)
	open := el(action+"Response xmlns=\""+namespace+"\"", body...)
	open.write(&b)
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	_, _ = w.Write([]byte(b.String()))
}

// Fault is an error of EC2.
type Fault struct {
	Status  int // the HTTP status; 0: 400
	Code    string
	Message string
}

// Error returns the code and the message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

func fault(code, format string, a ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, a...)}
}

func refuse(w http.ResponseWriter, request string, f *Fault) {
	var b strings.Builder
	b.WriteString(xml.Header)
	el("Response", el("Errors", el("Error", tx("Code", f.Code), tx("Message", f.Message))), tx("RequestID", request)).write(&b)
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(cmp.Or(f.Status, http.StatusBadRequest))
	_, _ = w.Write([]byte(b.String()))
}

// form is a request's parameters. Lists and structures are flattened: Filter.1.Value.2.
type form url.Values

func (f form) get(key string) string { return url.Values(f).Get(key) }

func (f form) int(key string) int {
	n, _ := strconv.Atoi(f.get(key))
	return n
}

func (f form) is(key string) bool { return f.get(key) == "true" }

// list returns the values at KEY.1, KEY.2, ...
func (f form) list(key string) (out []string) {
	for i := 1; ; i++ {
		v, ok := f[fmt.Sprintf("%s.%d", key, i)]
		if !ok {
			return out
		}
		out = append(out, v[0])
	}
}

// structs returns the prefixes KEY.1., KEY.2., ... that have values below them.
func (f form) structs(key string) (out []string) {
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("%s.%d.", key, i)
		found := false
		for k := range f {
			found = found || strings.HasPrefix(k, prefix)
		}
		if !found {
			return out
		}
		out = append(out, prefix)
	}
}

// tags returns the tags that a request gives to the new things of a kind.
func (f form) tags(kind string) map[string]string {
	out := map[string]string{}
	for _, s := range f.structs("TagSpecification") {
		if f.get(s+"ResourceType") != kind {
			continue
		}
		for _, t := range f.structs(s + "Tag") {
			out[f.get(t+"Key")] = f.get(t + "Value")
		}
	}
	return out
}

// tagSet returns the XML of tags.
func tagSet(tags map[string]string) elem {
	out := el("tagSet")
	for _, k := range sortedKeys(tags) {
		out.kids = append(out.kids, el("item", tx("key", k), tx("value", tags[k])))
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// filters reports whether a thing matches the request's filters, by its values and tags. A filter
// with an unknown name is refused, as EC2 does.
func (f form) filters(values map[string]string, tags map[string]string) (bool, *Fault) {
	for _, p := range f.structs("Filter") {
		name := f.get(p + "Name")
		wanted := f.list(p + "Value")
		have, ok := values[name]
		if key, tag := strings.CutPrefix(name, "tag:"); tag {
			have, ok = tags[key]
			if !ok {
				return false, nil
			}
		} else if name == "tag-key" {
			if !slices.ContainsFunc(wanted, func(w string) bool { _, there := tags[w]; return there }) {
				return false, nil
			}
			continue
		} else if !ok {
			return false, fault("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
		if !slices.ContainsFunc(wanted, func(w string) bool { return glob(w, have) }) {
			return false, nil
		}
	}
	return true, nil
}

// glob compares as EC2's filters do: * is any text, and ? is one character.
func glob(pattern, text string) bool {
	if !strings.ContainsAny(pattern, "*?") {
		return pattern == text
	}
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(strings.ReplaceAll(quoted, `\*`, ".*"), `\?`, ".")
	ok, err := regexp.MatchString("^(?s:"+quoted+")$", text)
	return ok && err == nil
}

// page cuts a list by MaxResults and NextToken, in the order of the keys. Changes between two pages
// never hide another entry.
func page[T any](f form, all []T, key func(T) string) (part []T, next []elem) {
	if after, ok := strings.CutPrefix(f.get("NextToken"), "after-"); ok {
		all = all[len(all)-count(all, func(x T) bool { return key(x) > after }):]
	}
	most := f.int("MaxResults")
	if most <= 0 || most >= len(all) {
		return all, nil
	}
	return all[:most], []elem{tx("nextToken", "after-"+key(all[most-1]))}
}

func count[T any](all []T, is func(T) bool) (n int) {
	for _, x := range all {
		if is(x) {
			n++
		}
	}
	return n
}
