package jsonapi

import "encoding/json"

import (
	"github.com/hostler-project/hostler/slapos/proto"
)

// A Document is an instance in the JSON API.
type Document struct {
	Title         string           `json:"title"`
	GUID          string           `json:"instance_guid"`
	Release       string           `json:"software_release_uri"`
	Type          string           `json:"software_type"`
	State         string           `json:"state"`
	Connection    proto.Dictionary `json:"connection_parameters"`
	Parameters    proto.Dictionary `json:"parameters"`
	Shared        bool             `json:"shared"`
	RootTitle     string           `json:"root_instance_title"`
	Addresses     [][2]string      `json:"ip_list"`      // interface, address
	FullAddresses [][5]string      `json:"full_ip_list"` // as [FullAddress]
	Filter        proto.Dictionary `json:"sla_parameters"`
	Computer      string           `json:"computer_guid"`
	Partition     string           `json:"compute_partition_id"`
	// microseconds here, seconds of other masters: to be compared for equality
	ProcessingStamp int64  `json:"processing_timestamp"`
	AccessStatus    string `json:"access_status_message"`
}

// MarshalJSON writes all keys, also empty lists and objects.
func (d Document) MarshalJSON() ([]byte, error) {
	type plain Document
	p := plain(d)
	if p.Addresses == nil {
		p.Addresses = [][2]string{}
	}
	if p.FullAddresses == nil {
		p.FullAddresses = [][5]string{}
	}
	return json.Marshal(p)
}

// A Listed is an entry of one of the JSON API's lists. Each list has some of its keys:
//
//   - instance_tree_list: Title;
//   - compute_node_list: Computer;
//   - compute_node_software_installation_list: Release and State;
//   - compute_node_instance_list: Title, Instance, State, Partition and Release;
//   - instance_node_instance_list: Title, Instance, Type, State, Parameters and Partition.
//
// Of our master, those of a computer have Trouble too where its node said last that something is
// wrong.
type Listed struct {
	Title      string            `json:"title,omitempty"`
	Instance   string            `json:"instance_guid,omitempty"`
	Type       string            `json:"software_type,omitempty"`
	State      string            `json:"state,omitempty"`
	Parameters *proto.Dictionary `json:"parameters,omitempty"`
	Partition  string            `json:"compute_partition_id,omitempty"`
	Release    string            `json:"software_release_uri,omitempty"`
	Computer   string            `json:"computer_guid,omitempty"`
	Trouble    string            `json:"access_status_message,omitempty"` // "#error …"
}

// A Listing is a list of the JSON API.
type Listing struct {
	Results []Listed `json:"result_list"`
}

// MarshalJSON writes a list in any case.
func (l Listing) MarshalJSON() ([]byte, error) {
	type plain Listing
	if l.Results == nil {
		l.Results = []Listed{}
	}
	return json.Marshal(plain(l))
}

// A Done is the answer of a method of the JSON API that changes something. Type is "success", and
// Title says what changed.
type Done struct {
	Type  string `json:"type"`
	Title string `json:"title"`
}

// A Failure is the JSON API's answer to a failed call.
type Failure struct {
	Status int    `json:"status"`
	Type   string `json:"type"` // the words of the status
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"` // more about it; of our master
}
