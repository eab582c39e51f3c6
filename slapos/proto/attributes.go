package proto

import (
	"strconv"
)

// reader takes the attributes of an object apart. A missing or None attribute is the zero value of
// its kind, and unknown ones are ignored. The first of another kind is the error.
type reader struct {
	of  string // names the object in errors
	err error
}

func (r *reader) fail(key, want string, v any) {
	if r.err == nil {
		r.err = Malformed(r.of+"."+key, "expected %s, got %s", want, KindOf(v))
	}
}

// KindOf names the kind of a value as the format calls it.
func KindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case string:
		return "a text"
	case bool:
		return "a boolean"
	case List:
		return "a list"
	case Tuple:
		return "a tuple"
	case Set:
		return "a set"
	case Dictionary:
		return "a dictionary"
	case *Object:
		return "a " + string(v.Class)
	}
	return "a number"
}

// text returns a text; a missing one or None is empty.
func (r *reader) text(d Dictionary, key string) string {
	switch v := d[key].(type) {
	case nil:
	case string:
		return v
	default:
		r.fail(key, "a text", v)
	}
	return ""
}

// stamp reads a time of change: a text from one master, an integer from another.
func (r *reader) stamp(d Dictionary, key string) string {
	if n, ok := d[key].(int64); ok {
		return strconv.FormatInt(n, 10)
	}
	return r.text(d, key)
}

// number returns an integer; a missing one or None is zero.
func (r *reader) number(d Dictionary, key string) int64 {
	switch v := d[key].(type) {
	case nil:
	case int64:
		return v
	default:
		r.fail(key, "an integer", v)
	}
	return 0
}

// dictionary returns a dictionary; a missing one or None is nil.
func (r *reader) dictionary(d Dictionary, key string) Dictionary {
	switch v := d[key].(type) {
	case nil:
	case Dictionary:
		return v
	default:
		r.fail(key, "a dictionary", v)
	}
	return nil
}

// list returns a list; a missing one or None is nil.
func (r *reader) list(d Dictionary, key string) List {
	switch v := d[key].(type) {
	case nil:
	case List:
		return v
	default:
		r.fail(key, "a list", v)
	}
	return nil
}

// object expects an object of a class.
func (r *reader) object(v any, key string, class Class) *Object {
	o, ok := v.(*Object)
	if !ok || o.Class != class {
		r.fail(key, "a "+string(class), v)
		return nil
	}
	return o
}

// texts reads a list of tuples, each with the same number of texts.
func (r *reader) texts(d Dictionary, key string, each int) [][]string {
	var all [][]string
	for _, item := range r.list(d, key) {
		tuple, ok := item.(Tuple)
		if list, isList := item.(List); isList {
			tuple, ok = Tuple(list), true
		}
		if !ok || len(tuple) != each {
			r.fail(key, "tuples of "+strconv.Itoa(each)+" texts", item)
			return nil
		}
		texts := make([]string, each)
		for i, v := range tuple {
			if texts[i], ok = v.(string); !ok && v != nil {
				r.fail(key, "tuples of texts", v)
				return nil
			}
		}
		all = append(all, texts)
	}
	return all
}

// argument is an argument of an object's constructor; "" if it is no text.
func argument(o *Object, i int) string {
	if i < len(o.Args) {
		s, _ := o.Args[i].(string)
		return s
	}
	return ""
}

// An Address is an address of a partition, and the network interface that it is on.
type Address struct{ Interface, IP string }

// A FullAddress is an address with a gateway and a netmask of its own; only the full master has
// them.
type FullAddress struct{ Interface, IP, Gateway, Netmask, Network string }

func addressList(addresses []Address) List {
	list := make(List, len(addresses))
	for i, a := range addresses {
		list[i] = Tuple{a.Interface, a.IP}
	}
	return list
}

func fullAddressList(addresses []FullAddress) List {
	list := make(List, len(addresses))
	for i, a := range addresses {
		list[i] = Tuple{a.Interface, a.IP, a.Gateway, a.Netmask, a.Network}
	}
	return list
}

func (r *reader) addresses(d Dictionary, key string) []Address {
	var all []Address
	for _, t := range r.texts(d, key, 2) {
		all = append(all, Address{t[0], t[1]})
	}
	return all
}

func (r *reader) fullAddresses(d Dictionary, key string) []FullAddress {
	var all []FullAddress
	for _, t := range r.texts(d, key, 5) {
		all = append(all, FullAddress{t[0], t[1], t[2], t[3], t[4]})
	}
	return all
}

// ReadAddresses reads a list of addresses; errors name it as said.
func ReadAddresses(name string, v any) ([]Address, error) {
	r := reader{of: "addresses"}
	all := r.addresses(Dictionary{name: v}, name)
	return all, r.err
}
