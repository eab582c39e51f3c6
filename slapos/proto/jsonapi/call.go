package jsonapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/text/exactjson"
)

// A Call is the input of a method of the JSON API; each method takes some of its keys (see
// [Method]).
type Call struct {
	Computer      string // computer_guid
	Partition     string // compute_partition_id
	Partitions    []Partition
	Message       string
	Usage         string // tioxml, see [ParseUsage]
	Release       string // software_release_uri
	State         string
	ReportedState string
	Title         string
	Type          string // software_type
	Parameters    proto.Dictionary
	Shared        bool
	Filter        proto.Dictionary // sla_parameters
	Instance      string           // instance_guid
	Connection    proto.Dictionary // connection_parameter_dict
}

// A CallPartition is a partition of a computer that is formatted.
type Partition struct {
	ID        string    `json:"partition_id"`
	Addresses []Address `json:"ip_list,omitempty"`
}

// An Address is an address of such a partition.
type Address struct {
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
				return nil, proto.Unwritable(name, "%v", err)
			}
		case *bool:
			if !*v && !required {
				continue
			}
		case *proto.Dictionary:
			if *v == nil && required {
				value = proto.Dictionary{}
			} else if *v == nil {
				continue
			}
		case *[]Partition:
			if *v == nil && required {
				value = []Partition{}
			} else if *v == nil {
				continue
			}
		}
		if !required && !slices.Contains(m.Optional, name) {
			return nil, proto.Unwritable(name, "%s takes no such key", m.Name)
		}
		body[name] = value
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, proto.Unwritable("", "%s: %v", m.Name, err)
	}
	return data, nil
}

// Decode reads a call as the method's schema wants it: all keys that must be there, and none that
// it does not know. Errors are [ErrMalformed] and name the key.
func (m *Method) Decode(body []byte) (*Call, error) {
	if len(body) > proto.MaxSize {
		return nil, proto.Malformed("", "a body of %d bytes; at most %d are read", len(body), proto.MaxSize)
	}
	if !utf8.Valid(body) {
		return nil, proto.Malformed("", "the body is not UTF-8")
	}
	var keys map[string]json.RawMessage
	if err := exactjson.Unmarshal(body, &keys); err != nil || keys == nil {
		return nil, proto.Malformed("", "the body is not a JSON object%s", because(err))
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(m.Required, name) && !slices.Contains(m.Optional, name) {
			return nil, proto.Malformed("", "%.80q is a key that %s does not take", name, m.Name)
		}
	}
	for _, name := range m.Required {
		if _, ok := keys[name]; !ok {
			return nil, proto.Malformed("", "%q is missing, which %s requires", name, m.Name)
		}
	}
	c := &Call{}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		v, err := proto.FromJSON(keys[name])
		if err == nil {
			err = m.set(c, name, v)
		}
		if err != nil {
			return nil, proto.Within(name, err)
		}
	}
	return c, nil
}

// set puts a JSON value into the field of a call, and checks it.
func (m *Method) set(c *Call, name string, v any) error {
	switch to := c.key(name).(type) {
	case *string:
		s, ok := v.(string)
		if !ok {
			return proto.Malformed("", "expected a text, got %s", proto.KindOf(v))
		}
		*to = s
		return m.check(name, s)
	case *bool:
		b, ok := v.(bool)
		if !ok {
			return proto.Malformed("", "expected a boolean, got %s", proto.KindOf(v))
		}
		*to = b
	case *proto.Dictionary:
		d, ok := v.(proto.Dictionary)
		if !ok {
			return proto.Malformed("", "expected an object, got %s", proto.KindOf(v))
		}
		*to = d
		if name == "sla_parameters" {
			return checkFilter(d)
		}
	case *[]Partition:
		list, ok := v.(proto.List)
		if !ok {
			return proto.Malformed("", "expected a list, got %s", proto.KindOf(v))
		}
		*to = make([]Partition, len(list))
		for i, item := range list {
			if err := (*to)[i].read(item); err != nil {
				return proto.Within("["+strconv.Itoa(i)+"]", err)
			}
		}
	}
	return nil
}

// check says whether a method takes a text for a key.
func (m *Method) check(name, text string) error {
	if name == "title" && utf8.RuneCountInString(text) > maxTitle {
		return proto.Malformed("", "longer than %d characters", maxTitle)
	}
	if allowed := m.States; (name == "state" || name == "reported_state") && !slices.Contains(allowed, text) {
		return proto.Malformed("", "%.80q is none of %s", text, strings.Join(allowed, ", "))
	}
	return nil
}

// checkFilter: the values of a filter are texts, but for the delay, which is a number.
func checkFilter(d proto.Dictionary) error {
	for _, key := range slices.Sorted(maps.Keys(d)) {
		want := "a text"
		if key == "retention_delay" {
			want = "a number"
		}
		if got := proto.KindOf(d[key]); got != want {
			return proto.Malformed(key, "expected %s, got %s", want, got)
		}
	}
	return nil
}

// read reads a partition from its JSON object.
func (p *Partition) read(v any) error {
	d, ok := v.(proto.Dictionary)
	if !ok {
		return proto.Malformed("", "expected an object, got %s", proto.KindOf(v))
	}
	var err error
	fail := func(key, want string, v any) {
		if err == nil {
			err = proto.Malformed("."+key, "expected %s, got %s", want, proto.KindOf(v))
		}
	}
	text := func(d proto.Dictionary, key string, needed bool) string {
		text, ok := d[key].(string)
		if !ok && (needed || d[key] != nil) {
			fail(key, "a text", d[key])
		}
		return text
	}
	p.ID = text(d, "partition_id", true)
	list, ok := d["ip_list"].(proto.List)
	if !ok && d["ip_list"] != nil {
		fail("ip_list", "a list", d["ip_list"])
	}
	for _, item := range list {
		a, ok := item.(proto.Dictionary)
		if !ok {
			fail("ip_list", "objects", item)
			break
		}
		p.Addresses = append(p.Addresses, Address{
			IP: text(a, "ip-address", true), Interface: text(a, "network-interface", false), Netmask: text(a, "netmask", false),
			Gateway: text(a, "gateway-ip-address", false), Network: text(a, "network-address", false),
		})
	}
	return err
}

// because is the reason that an error gives, as the end of a sentence.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
