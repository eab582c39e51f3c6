package proto

import "strconv"

// A Configuration is a computer's description of itself, as far as a master reads it.
type Configuration struct {
	Computer         string // its reference
	Address, Netmask string
	Partitions       []ConfiguredPartition
}

// A ConfiguredPartition is one partition of a computer.
type ConfiguredPartition struct {
	ID        string
	Interface string // name of its network interface; "" where the computer gives none
	Addresses []ConfiguredAddress
}

// A ConfiguredAddress is an address of a partition.
type ConfiguredAddress struct{ IP, Netmask string }

// ReadConfiguration takes the value that is posted to loadComputerConfigurationFromXML. Errors are
// [ErrMalformed].
func ReadConfiguration(v any) (*Configuration, error) {
	d, ok := v.(Dictionary)
	if !ok {
		return nil, Malformed("", "expected the configuration of a computer, a dictionary, got %s", KindOf(v))
	}
	r := reader{of: "configuration"}
	c := &Configuration{Computer: r.text(d, "reference"), Address: r.text(d, "address"), Netmask: r.text(d, "netmask")}
	if r.err == nil && c.Computer == "" {
		return nil, Malformed("configuration.reference", "a computer needs a name here")
	}
	seen := map[string]bool{}
	for i, item := range r.list(d, "partition_list") {
		in := reader{of: "configuration.partition_list[" + strconv.Itoa(i) + "]"}
		partition, ok := item.(Dictionary)
		if !ok {
			return nil, Malformed(in.of, "expected a dictionary, got %s", KindOf(item))
		}
		p := in.partition(partition)
		switch {
		case in.err != nil:
			return nil, in.err
		case p.ID == "":
			return nil, Malformed(in.of+".reference", "a partition needs a name here")
		case seen[p.ID]:
			return nil, Malformed(in.of+".reference", "two partitions have the name %.80q", p.ID)
		}
		seen[p.ID] = true
		c.Partitions = append(c.Partitions, p)
	}
	if r.err != nil {
		return nil, r.err
	}
	return c, nil
}

func (r *reader) partition(d Dictionary) ConfiguredPartition {
	p := ConfiguredPartition{ID: r.text(d, "reference")}
	if tap := r.dictionary(d, "tap"); tap != nil {
		p.Interface = r.text(tap, "name")
	}
	for _, item := range r.list(d, "address_list") {
		a, ok := item.(Dictionary)
		if !ok {
			r.fail("address_list", "dictionaries", item)
			break
		}
		p.Addresses = append(p.Addresses, ConfiguredAddress{IP: r.text(a, "addr"), Netmask: r.text(a, "netmask")})
	}
	return p
}
