package hypermedia

import "strings"

// A Link is a link of a hypermedia document. An Href may be a template: see [Expand].
type Link struct {
	Href string `json:"href"`
}

// A Root is the entry of the hypermedia API: links to the search, and to its results.
type Root struct {
	Links RootLinks `json:"_links"`
}

// RootLinks are the links of a [Root]; only the first two are everywhere.
type RootLinks struct {
	Search   Link  `json:"raw_search"` // variables query, select_list, limit
	Traverse Link  `json:"traverse"`   // variables relative_url, view
	Me       *Link `json:"me,omitempty"`
	Self     *Link `json:"self,omitempty"`
}

// Results are what a search found: the fields that were selected, and relative_url.
type Results struct {
	Embedded struct {
		Contents []map[string]any `json:"contents"`
	} `json:"_embedded"`
	Links ResultLinks `json:"_links,omitzero"`
}

// ResultLinks are the links of [Results]; an incomplete page has one to the next.
type ResultLinks struct {
	Next *Link `json:"next,omitempty"`
}

// A Form is a document of the hypermedia API: the fields of one thing.
type Form struct {
	Embedded struct {
		View map[string]FormField `json:"_view"`
	} `json:"_embedded"`
	Links struct {
		Type struct {
			Name string `json:"name"` // Instance Tree, Computer
		} `json:"type"`
	} `json:"_links"`
}

// A FormField is a field of a [Form]; its value stands in Default.
type FormField struct {
	Key     string `json:"key"`
	Default any    `json:"default"`
	Type    string `json:"type"`
}

// FieldView is the view of a thing that is a [Form].
const FieldView = "slaposjs_view"

// Values are the fields of a form that hold a value for a reader, without the prefixes of their
// names.
func (f *Form) Values() map[string]any {
	values := map[string]any{}
	for name, field := range f.Embedded.View {
		switch field.Type {
		case "StringField", "EmailField", "IntegerField", "FloatField", "TextAreaField":
			name = strings.TrimPrefix(name, "my_")
			values[strings.TrimPrefix(name, "your_")] = field.Default
		}
	}
	return values
}

// A Query is a client's search: for the valid things of a kind, or for those with a value in a
// field.
type Query struct {
	Kind string // one of QueryTrees, QueryComputers, QueryInstances, QueryReleases
	// "", or one that things of the kind have: title, reference, default_specialise_title,
	// default_aggregate_reference
	Field string
	Value string
}

// The kinds of things that are searched for. The last two are of the full master.
const (
	QueryTrees     = "Instance Tree"
	QueryComputers = "Compute Node"
	QueryInstances = `Software Instance", "Slave Instance` // in parentheses, as both are meant
	QueryReleases  = "Software Installation"
)

// queried are the kinds, as a query names them, each with its searchable field.
var queried = []struct{ kind, written, field string }{
	{QueryTrees, `portal_type:"` + QueryTrees + `"`, "title"},
	{QueryComputers, `portal_type:"` + QueryComputers + `"`, "reference"},
	{QueryInstances, `portal_type:("` + QueryInstances + `")`, "default_specialise_title"},
	{QueryReleases, `portal_type:"` + QueryReleases + `"`, "default_aggregate_reference"},
}

const validated = " AND validation_state:validated"

// String is the query as it is sent: in the value a backslash is before each " and each backslash.
func (q Query) String() string {
	return q.write(escapes.Replace(q.Value))
}

var (
	escapes   = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	unescapes = strings.NewReplacer(`\\`, `\`, `\"`, `"`)
)

// Plain is the query with the value as it is, as the reference's client sends it.
func (q Query) Plain() string { return q.write(q.Value) }

// write returns the query text for a value; without a field it selects by kind alone.
func (q Query) write(value string) string {
	s := `portal_type:"` + q.Kind + `"` + validated
	for _, k := range queried {
		if k.kind == q.Kind {
			s = k.written + validated
		}
	}
	if q.Field != "" {
		s += " AND " + q.Field + `:="` + value + `"`
	}
	return s
}

// Values are the possible meanings of a query's value: the text between the quotes, as some clients
// send it, and that text unescaped.
func (q Query) Values() []string {
	if meant := unescapes.Replace(q.Value); meant != q.Value {
		return []string{q.Value, meant}
	}
	return []string{q.Value}
}

// ParseQuery reads a query of that form, and says whether it is one. The text between the quotes is
// taken as it is: see [Query.Values].
func ParseQuery(text string) (Query, bool) {
	for _, k := range queried {
		rest, ok := strings.CutPrefix(text, k.written+validated)
		if !ok {
			continue
		}
		q := Query{Kind: k.kind}
		if rest == "" {
			return q, true
		}
		q.Field = k.field
		if rest, ok = strings.CutPrefix(rest, " AND "+k.field+`:="`); !ok {
			return Query{}, false
		}
		q.Value, ok = strings.CutSuffix(rest, `"`)
		return q, ok
	}
	return Query{}, false
}
