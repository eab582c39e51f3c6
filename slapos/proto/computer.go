package proto

import (
	"maps"
	"strconv"
)

// The states of an instance that may be wanted; a release on a computer has [Available] or
// [Destroyed].
const (
	Started   = "started"
	Stopped   = "stopped"
	Destroyed = "destroyed"
	Available = "available"
)

// A Computer is a node's document: its partitions, and the software releases to have on it.
type Computer struct {
	ID         string
	Partitions []Partition
	Releases   []Release
}

// A Release is a software release on a computer.
type Release struct {
	URL, Computer string
	State         string // [Available] or [Destroyed]; "" is available too
}

// A Partition is a slot on a computer, and the instance in it.
type Partition struct {
	Computer, ID string
	GUID         string // of the instance
	State        string // the wanted state

	// Release is the URL of the instance's software release. It is "" in a free partition, which
	// has none of the following.
	Release        string
	Type           string
	Title          string
	RootTitle      string // title of the root of its tree
	RootShortTitle string // of the full master, which may leave it ""
	// when something of it changed last: to be compared for equality and nothing else; "" is
	// unknown
	Timestamp     string
	Parameters    Dictionary
	Connection    Dictionary
	Addresses     []Address
	FullAddresses []FullAddress
	Shared        []SharedInstance
	Filter        Dictionary // for its allocation; of the full master
	AccessStatus  string     // the last status from its node, as "#error …"; of the full master
}

// A SharedInstance is an instance without a partition, as its host sees it.
type SharedInstance struct {
	Title, Reference, Type string
	Timestamp              int64 // microseconds; of the full master, else 0
	Parameters             Dictionary
}

// Object is the computer as a value.
func (c *Computer) Object() *Object {
	partitions, releases := make(List, len(c.Partitions)), make(List, len(c.Releases))
	for i := range c.Partitions {
		partitions[i] = c.Partitions[i].Object()
	}
	for i := range c.Releases {
		releases[i] = c.Releases[i].Object()
	}
	return &Object{Class: ClassComputer, Args: Tuple{c.ID}, Attributes: Dictionary{
		"_computer_id": c.ID, "_computer_partition_list": partitions, "_software_release_list": releases,
	}}
}

// ReadComputer takes a value as a computer. Errors are [ErrMalformed].
func ReadComputer(v any) (*Computer, error) {
	r := reader{of: "Computer"}
	o := r.object(v, "", ClassComputer)
	if o == nil {
		return nil, Malformed("", "expected a Computer, got %s", KindOf(v))
	}
	c := &Computer{ID: r.text(o.Attributes, "_computer_id")}
	if c.ID == "" {
		c.ID = argument(o, 0)
	}
	for _, item := range r.list(o.Attributes, "_computer_partition_list") {
		p, err := ReadPartition(item)
		if err != nil {
			return nil, Within("Computer", err)
		}
		c.Partitions = append(c.Partitions, *p)
	}
	for _, item := range r.list(o.Attributes, "_software_release_list") {
		c.Releases = append(c.Releases, r.release(item, "_software_release_list"))
	}
	if r.err != nil {
		return nil, r.err
	}
	return c, nil
}

// Object is the release as a value.
func (s *Release) Object() *Object {
	d := Dictionary{"_computer_guid": s.Computer, "_software_instance_list": List(nil), "_software_release": s.URL}
	if s.State != "" {
		d["_requested_state"] = s.State
	}
	return &Object{Class: ClassRelease, Args: Tuple{s.URL, s.Computer}, Attributes: d}
}

// release reads a release. The URL and the computer may be attributes or arguments.
func (r *reader) release(v any, key string) Release {
	o := r.object(v, key, ClassRelease)
	if o == nil {
		return Release{}
	}
	s := Release{
		URL: r.text(o.Attributes, "_software_release"), Computer: r.text(o.Attributes, "_computer_guid"),
		State: r.text(o.Attributes, "_requested_state"),
	}
	if s.URL == "" {
		s.URL = argument(o, 0)
	}
	if s.Computer == "" {
		s.Computer = argument(o, 1)
	}
	return s
}

// Object is the partition as a value.
func (p *Partition) Object() *Object {
	d := Dictionary{
		"_computer_id": p.Computer, "_partition_id": p.ID, "_instance_guid": p.GUID, "_requested_state": p.State,
		"_request_dict": nil, "_need_modification": int64(0), "_software_release_document": nil,
	}
	if p.Release != "" {
		d["_need_modification"] = int64(1)
		d["_software_release_document"] = (&Release{URL: p.Release, Computer: p.Computer}).Object()
		d["_connection_dict"] = p.Connection
		d["_parameter_dict"] = p.parameterDict()
		if p.Filter != nil {
			d["_filter_dict"] = p.Filter
		}
		if p.AccessStatus != "" {
			d[keyAccess] = p.AccessStatus
		}
	}
	return &Object{Class: ClassPartition, Args: Tuple{p.Computer, p.ID, nil}, Attributes: d}
}

// The keys that a master puts among the parameters of an instance.
const (
	keyAccess        = "_access_status" // this one is beside them
	keyAddresses     = "ip_list"
	keyFullAddresses = "full_ip_list"
	keyNoAddresses   = "full_address_list" // of the micro-master, always empty
	keyType          = "slap_software_type"
	keyComputer      = "slap_computer_id"
	keyPartition     = "slap_computer_partition_id"
	keyRelease       = "slap_software_release_url"
	keyTitle         = "instance_title"
	keyRootTitle     = "root_instance_title"
	keyRootShort     = "root_instance_short_title"
	keyShared        = "slave_instance_list"
	keyTimestamp     = "timestamp"
)

var reserved = []string{
	keyAddresses, keyFullAddresses, keyNoAddresses, keyType, keyComputer, keyPartition, keyRelease, keyTitle, keyRootTitle, keyRootShort,
	keyShared, keyTimestamp,
}

// parameterDict is the dictionary of a partition in its XML form: the parameters, and the master's
// reserved keys.
func (p *Partition) parameterDict() Dictionary {
	d := make(Dictionary, len(p.Parameters)+len(reserved))
	maps.Copy(d, p.Parameters)
	shared := make(List, len(p.Shared))
	for i := range p.Shared {
		shared[i] = p.Shared[i].dictionary()
	}
	d[keyAddresses] = addressList(p.Addresses)
	d[keyNoAddresses] = List(nil)
	d[keyType] = p.Type
	d[keyComputer] = p.Computer
	d[keyPartition] = p.ID
	d[keyRelease] = p.Release
	d[keyTitle] = p.Title
	d[keyRootTitle] = p.RootTitle
	d[keyShared] = shared
	if len(p.FullAddresses) > 0 {
		d[keyFullAddresses] = fullAddressList(p.FullAddresses)
	}
	if p.RootShortTitle != "" {
		d[keyRootShort] = p.RootShortTitle
	}
	if p.Timestamp != "" {
		d[keyTimestamp] = p.Timestamp
	}
	return d
}

// ReadPartition takes a value as a partition. Errors are [ErrMalformed].
func ReadPartition(v any) (*Partition, error) {
	r := reader{of: "ComputerPartition"}
	o := r.object(v, "", ClassPartition)
	if o == nil {
		return nil, Malformed("", "expected a ComputerPartition, got %s", KindOf(v))
	}
	a := o.Attributes
	p := &Partition{
		Computer: r.text(a, "_computer_id"), ID: r.text(a, "_partition_id"),
		GUID: r.text(a, "_instance_guid"), State: r.text(a, "_requested_state"),
	}
	if p.Computer == "" {
		p.Computer = argument(o, 0)
	}
	if p.ID == "" {
		p.ID = argument(o, 1)
	}
	if document := a["_software_release_document"]; document != nil {
		p.Release = r.release(document, "_software_release_document").URL
	}
	if r.err != nil {
		return nil, r.err
	}
	if p.Release == "" {
		return p, nil
	}
	p.AccessStatus, _ = a[keyAccess].(string) // none is a null
	p.Connection, p.Filter = r.dictionary(a, "_connection_dict"), r.dictionary(a, "_filter_dict")
	r.of += "._parameter_dict"
	p.readParameters(&r, r.dictionary(a, "_parameter_dict"))
	if r.err != nil {
		return nil, r.err
	}
	return p, nil
}

// readParameters reads what the master puts among the parameters; the rest are the parameters.
func (p *Partition) readParameters(r *reader, d Dictionary) {
	p.Type, p.Title = r.text(d, keyType), r.text(d, keyTitle)
	p.RootTitle, p.RootShortTitle = r.text(d, keyRootTitle), r.text(d, keyRootShort)
	p.Timestamp = r.stamp(d, keyTimestamp)
	p.Addresses, p.FullAddresses = r.addresses(d, keyAddresses), r.fullAddresses(d, keyFullAddresses)
	for i, item := range r.list(d, keyShared) {
		shared, ok := item.(Dictionary)
		if !ok {
			r.fail(keyShared+"["+strconv.Itoa(i)+"]", "a dictionary", item)
			return
		}
		p.Shared = append(p.Shared, r.shared(shared))
	}
	p.Parameters = without(d, reserved)
}

// without is a copy of d that lacks some keys.
func without(d Dictionary, keys []string) Dictionary {
	rest := make(Dictionary, len(d))
	maps.Copy(rest, d)
	for _, key := range keys {
		delete(rest, key)
	}
	return rest
}

var reservedShared = []string{"slave_title", "slave_reference", keyType, keyTimestamp}

// dictionary returns the parameters with the master's own keys among them; these outweigh equal
// ones.
func (s *SharedInstance) dictionary() Dictionary {
	d := make(Dictionary, len(s.Parameters)+len(reservedShared))
	maps.Copy(d, s.Parameters)
	d["slave_title"], d["slave_reference"], d[keyType] = s.Title, s.Reference, s.Type
	if s.Timestamp != 0 {
		d[keyTimestamp] = s.Timestamp
	}
	return d
}

func (r *reader) shared(d Dictionary) SharedInstance {
	return SharedInstance{
		Title: r.text(d, "slave_title"), Reference: r.text(d, "slave_reference"), Type: r.text(d, keyType),
		Timestamp:  r.number(d, keyTimestamp),
		Parameters: without(d, reservedShared),
	}
}
