package proto

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/text/exactjson"
)

// A Call is what is sent to a method of the JSON API; each method takes some of its keys (see
// [Method]).
type Call struct {
	Computer      string // computer_guid
	Partition     string // compute_partition_id
	Partitions    []CallPartition
	Message       string
	Usage         string // tioxml, see [ParseUsage]
	Release       string // software_release_uri
	State         string
	ReportedState string
	Title         string
	Type          string // software_type
	Parameters    Dictionary
	Shared        bool
	Filter        Dictionary // sla_parameters
	Instance      string     // instance_guid
	Connection    Dictionary // connection_parameter_dict
}

// A CallPartition is a partition of a computer that is formatted.
type CallPartition struct {
	ID        string        `json:"partition_id"`
	Addresses []CallAddress `json:"ip_list,omitempty"`
}

// A CallAddress is an address of such a partition.
type CallAddress struct {
	IP        string `json:"ip-address"`
	Interface string `json:"network-interface,omitempty"`
	Netmask   string `json:"netmask,omitempty"`
	Gateway   string `json:"gateway-ip-address,omitempty"`
	Network   string `json:"network-address,omitempty"`
}

// key is where a key's value is in a call.
func (c *Call) key(name string) any {
	switch name {
	case "computer_guid":
		return &c.Computer
	case "compute_partition_id":
		return &c.Partition
	case "compute_partition_list":
		return &c.Partitions
	case "message":
		return &c.Message
	case "tioxml":
		return &c.Usage
	case "software_release_uri":
		return &c.Release
	case "state":
		return &c.State
	case "reported_state":
		return &c.ReportedState
	case "title":
		return &c.Title
	case "software_type":
		return &c.Type
	case "parameters":
		return &c.Parameters
	case "shared":
		return &c.Shared
	case "sla_parameters":
		return &c.Filter
	case "instance_guid":
		return &c.Instance
	case "connection_parameter_dict":
		return &c.Connection
	}
	return nil
}

// Encode writes a call: the keys that must be there, and of the others those that say something. A
// key that the method does not take, and a title or state that it would refuse, is an error that is
// [ErrUnwritable].
func (m *Method) Encode(c *Call) ([]byte, error) {
	body := map[string]any{}
	for name := range callKeys {
		required := slices.Contains(m.Required, name)
		value := c.key(name)
		switch v := value.(type) {
		case *string:
			if *v == "" && !required {
				continue
			}
			if err := m.check(name, *v); err != nil {
				return nil, &fault{kind: ErrUnwritable, place: name, text: err.Error()}
			}
		case *bool:
			if !*v && !required {
				continue
			}
		case *Dictionary:
			if *v == nil && required {
				value = Dictionary{}
			} else if *v == nil {
				continue
			}
		case *[]CallPartition:
			if *v == nil && required {
				value = []CallPartition{}
			} else if *v == nil {
				continue
			}
		}
		if !required && !slices.Contains(m.Optional, name) {
			return nil, &fault{kind: ErrUnwritable, place: name, text: m.Name + " takes no such key"}
		}
		body[name] = value
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, unwritable("%s: %v", m.Name, err)
	}
	return data, nil
}

// Decode reads a call as the method's schema wants it: all keys that must be there, and none that
// it does not know. Errors are [ErrMalformed] and name the key.
func (m *Method) Decode(body []byte) (*Call, error) {
	if len(body) > MaxSize {
		return nil, malformed("", "a body of %d bytes; at most %d are read", len(body), MaxSize)
	}
	if !utf8.Valid(body) {
		return nil, malformed("", "the body is not UTF-8")
	}
	var keys map[string]json.RawMessage
	if err := exactjson.Unmarshal(body, &keys); err != nil || keys == nil {
		return nil, malformed("", "the body is not a JSON object%s", because(err))
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(m.Required, name) && !slices.Contains(m.Optional, name) {
			return nil, malformed("", "%.80q is a key that %s does not take", name, m.Name)
		}
	}
	for _, name := range m.Required {
		if _, ok := keys[name]; !ok {
			return nil, malformed("", "%q is missing, which %s requires", name, m.Name)
		}
	}
	c := &Call{}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		v, err := fromJSON(keys[name])
		if err == nil {
			err = m.set(c, name, v)
		}
		if err != nil {
			return nil, within(name, err)
		}
	}
	return c, nil
}

func (m *Method) set(c *Call, name string, v any) error {
	switch to := c.key(name).(type) {
	case *string:
		s, ok := v.(string)
		if !ok {
			return malformed("", "expected a text, got %s", kindOf(v))
		}
		*to = s
		return m.check(name, s)
	case *bool:
		b, ok := v.(bool)
		if !ok {
			return malformed("", "expected a boolean, got %s", kindOf(v))
		}
		*to = b
	case *Dictionary:
		d, ok := v.(Dictionary)
		if !ok {
			return malformed("", "expected an object, got %s", kindOf(v))
		}
		*to = d
		if name == "sla_parameters" {
			return checkFilter(d)
		}
	case *[]CallPartition:
		list, ok := v.(List)
		if !ok {
			return malformed("", "expected a list, got %s", kindOf(v))
		}
		*to = make([]CallPartition, len(list))
		for i, item := range list {
			if err := (*to)[i].read(item); err != nil {
				return within("["+strconv.Itoa(i)+"]", err)
			}
		}
	}
	return nil
}

// check says whether a method takes a text for a key.
func (m *Method) check(name, text string) error {
	if name == "title" && utf8.RuneCountInString(text) > maxTitle {
		return malformed("", "longer than %d characters", maxTitle)
	}
	if allowed := m.States; (name == "state" || name == "reported_state") && !slices.Contains(allowed, text) {
		return malformed("", "%.80q is none of %s", text, strings.Join(allowed, ", "))
	}
	return nil
}

// checkFilter: the values of a filter are texts, but for the delay, which is a number.
func checkFilter(d Dictionary) error {
	for _, key := range slices.Sorted(maps.Keys(d)) {
		want := "a text"
		if key == "retention_delay" {
			want = "a number"
		}
		if got := kindOf(d[key]); got != want {
			return malformed(key, "expected %s, got %s", want, got)
		}
	}
	return nil
}

func (p *CallPartition) read(v any) error {
	d, ok := v.(Dictionary)
	if !ok {
		return malformed("", "expected an object, got %s", kindOf(v))
	}
	r := reader{of: ""}
	p.ID = r.needed(d, "partition_id")
	for _, item := range r.list(d, "ip_list") {
		a, ok := item.(Dictionary)
		if !ok {
			r.fail("ip_list", "objects", item)
			break
		}
		p.Addresses = append(p.Addresses, CallAddress{
			IP: r.needed(a, "ip-address"), Interface: r.text(a, "network-interface"), Netmask: r.text(a, "netmask"),
			Gateway: r.text(a, "gateway-ip-address"), Network: r.text(a, "network-address"),
		})
	}
	return r.err
}

// needed reads a text that must be there.
func (r *reader) needed(d Dictionary, key string) string {
	if _, ok := d[key].(string); !ok {
		r.fail(key, "a text", d[key])
	}
	return r.text(d, key)
}

// because is the reason that an error gives, as the end of a sentence.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
