package proto

import (
	"net/url"
	"strings"
)

// A Request asks for an instance, or for a change of one.
type Request struct {
	Computer, Partition string // of the instance that asks; "" where a user asks
	Release, Type       string
	Title               string
	Parameters          Dictionary
	Filter              Dictionary // conditions of the place
	State               string     // [Started], [Stopped], [Destroyed]; "" leaves it as it is
	Shared              bool
	Project             string // of the full master
}

// Form is the request as the fields of requestComputerPartition. Errors are [ErrUnwritable].
func (q *Request) Form() (url.Values, error) {
	form := url.Values{
		"software_release": {q.Release}, "software_type": {q.Type}, "partition_reference": {q.Title},
	}
	if q.Type == "" {
		form.Set("software_type", "default")
	}
	if q.Computer != "" || q.Partition != "" {
		form.Set("computer_id", q.Computer)
		form.Set("computer_partition_id", q.Partition)
	}
	if q.Project != "" {
		form.Set("project_reference", q.Project)
	}
	var state any
	if q.State != "" {
		state = q.State
	}
	for field, v := range map[string]any{
		"partition_parameter_xml": q.Parameters, "filter_xml": q.Filter, "state": state, "shared_xml": q.Shared,
	} {
		text, err := Marshal(v)
		if err != nil {
			return nil, Within(field, err)
		}
		form.Set(field, string(text))
	}
	return form, nil
}

// ParseRequest reads the fields of requestComputerPartition. Errors are [ErrMalformed] and name the
// field.
func ParseRequest(form url.Values) (*Request, error) {
	for _, field := range []string{"software_release", "software_type", "partition_reference", "state"} {
		if !form.Has(field) {
			return nil, Malformed(field, "this field is missing")
		}
	}
	q := &Request{
		Release: form.Get("software_release"), Type: form.Get("software_type"), Title: form.Get("partition_reference"),
		Computer: Optional(form, "computer_id"), Partition: Optional(form, "computer_partition_id"),
		Project: Optional(form, "project_reference"),
	}
	for field, to := range map[string]*Dictionary{"partition_parameter_xml": &q.Parameters, "filter_xml": &q.Filter} {
		v, err := document(form, field)
		if err != nil {
			return nil, err
		}
		ok := false
		if *to, ok = v.(Dictionary); !ok && v != nil {
			return nil, Malformed(field, "expected a dictionary, got %s", KindOf(v))
		}
	}
	state, err := document(form, "state")
	if err != nil {
		return nil, err
	}
	var ok bool
	if q.State, ok = state.(string); !ok && state != nil {
		return nil, Malformed("state", "expected a text, got %s", KindOf(state))
	}
	shared, err := document(form, "shared_xml")
	if err != nil {
		return nil, err
	}
	switch s := shared.(type) {
	case nil:
	case bool:
		q.Shared = s
	case int64:
		q.Shared = s != 0
	default:
		return nil, Malformed("shared_xml", "expected a boolean, got %s", KindOf(shared))
	}
	return q, nil
}

// document reads a field that holds a document; one that is not there is nil.
func document(form url.Values, field string) (any, error) {
	text := Optional(form, field)
	if text == "" {
		return nil, nil
	}
	v, err := unmarshal(text)
	if err != nil {
		return nil, Within(field, err)
	}
	return v, nil
}

// Optional is a field that may be absent. None counts as absent: clients of old masters send it for
// null.
func Optional(form url.Values, field string) string {
	v := form.Get(field)
	if strings.EqualFold(v, "none") {
		return ""
	}
	return v
}

// ParseField reads a field that must be there and hold a document. Errors are [ErrMalformed] and
// name the field.
func ParseField(form url.Values, field string) (any, error) {
	if !form.Has(field) {
		return nil, Malformed(field, "this field is missing")
	}
	v, err := unmarshal(form.Get(field))
	if err != nil {
		return nil, Within(field, err)
	}
	return v, nil
}
