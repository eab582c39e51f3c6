package proto

import "maps"

// An Instance is the answer to a request for one.
type Instance struct {
	// its place, or its host's if it is shared; both are "" without a place
	Computer, Partition string
	GUID, State         string // "" of a shared one
	Release, Type       string
	Title, RootTitle    string // of the full master
	Timestamp           string // see [Partition]; a shared one has none
	Parameters          Dictionary
	Connection          Dictionary
	ConnectionXML       string // the connection parameters as they are kept; of the micro-master
	Addresses           []Address
	FullAddresses       []FullAddress // of the full master
	// has no partition of its own; only for writing, an answer does not say so
	Shared bool
	Filter Dictionary // of the full master
}

// Object is the instance as a value.
func (n *Instance) Object() *Object {
	parameters := n.Parameters
	d := Dictionary{
		"_connection_dict": n.Connection, keyAddresses: addressList(n.Addresses), keyComputer: n.Computer, keyPartition: n.Partition,
		"slap_server_url": "slap_server_url", keyRelease: n.Release, keyType: n.Type,
	}
	if !n.Shared {
		d["_instance_guid"], d["_requested_state"] = n.GUID, n.State
		d["connection_xml"] = nil
		if n.ConnectionXML != "" {
			d["connection_xml"] = n.ConnectionXML
		}
		if n.Timestamp != "" {
			parameters = make(Dictionary, len(n.Parameters)+1)
			maps.Copy(parameters, n.Parameters)
			parameters[keyTimestamp] = n.Timestamp
		}
	}
	d["_parameter_dict"] = parameters
	if n.Title != "" {
		d[keyTitle], d[keyRootTitle] = n.Title, n.RootTitle
	}
	if len(n.FullAddresses) > 0 {
		d[keyFullAddresses] = fullAddressList(n.FullAddresses)
	}
	if n.Filter != nil {
		d["_filter_dict"] = n.Filter
	}
	return &Object{Class: ClassInstance, Attributes: d}
}

// ReadInstance takes a value as the answer to a request: a SoftwareInstance, or the
// ComputerPartition that is answered for an instance of another master or one that only seems to
// be. Errors are [ErrMalformed].
func ReadInstance(v any) (*Instance, error) {
	o, ok := v.(*Object)
	if !ok || o.Class != ClassInstance && o.Class != ClassPartition {
		return nil, Malformed("", "expected a SoftwareInstance, got %s", KindOf(v))
	}
	r := reader{of: string(o.Class)}
	a := o.Attributes
	n := &Instance{
		Computer: r.text(a, keyComputer), Partition: r.text(a, keyPartition), GUID: r.text(a, "_instance_guid"),
		State:   r.text(a, "_requested_state"),
		Release: r.text(a, keyRelease), Type: r.text(a, keyType), Title: r.text(a, keyTitle), RootTitle: r.text(a, keyRootTitle),
		Connection: r.dictionary(a, "_connection_dict"), ConnectionXML: r.text(a, "connection_xml"),
		Filter:    r.dictionary(a, "_filter_dict"),
		Addresses: r.addresses(a, keyAddresses), FullAddresses: r.fullAddresses(a, keyFullAddresses),
	}
	if parameters := r.dictionary(a, "_parameter_dict"); parameters != nil {
		// A master that gives no other time of change puts it among the parameters.
		n.Timestamp = r.stamp(parameters, keyTimestamp)
		n.Parameters = without(parameters, []string{keyTimestamp})
	}
	if r.err != nil {
		return nil, r.err
	}
	return n, nil
}
