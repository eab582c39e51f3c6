// Package record has what a master keeps: a record of each kind, and the entry as which a store
// keeps it. Stores know entries alone.
package record

import (
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/store"
)

// The kinds of entries, with the type of their data, which is in JSON.
const (
	KindComputer store.SlapKind = "computer" // Computer
	KindSupply   store.SlapKind = "supply"   // Supply
	KindInstance store.SlapKind = "instance" // Instance
	KindForward  store.SlapKind = "forward"  // Forward
	KindStatus   store.SlapKind = "status"   // Status; it has no followers
	KindUsage    store.SlapKind = "usage"    // Usage; nor these
	KindNode     store.SlapKind = "node"     // a node's own report; no followers either
	KindUser     store.SlapKind = "user"
	KindOther    store.SlapKind = "other" // Certificate, Token, Root
)

// A Computer is a computer, and the slots that it has.
type Computer struct {
	GUID             string      `json:"guid"`
	Title            string      `json:"title,omitempty"`
	Address, Netmask string      `json:",omitempty"`
	Project          string      `json:"project,omitempty"`
	Network          string      `json:"network,omitempty"`
	Owner            string      `json:"owner,omitempty"` // the user that owns it
	Created          time.Time   `json:"created"`
	Partitions       []Partition `json:"partitions,omitempty"`
	Revision         int64       `json:"-"`
}

// A Partition is a slot of a computer.
type Partition struct {
	ID        string             `json:"id"`
	Addresses []PartitionAddress `json:"addresses,omitempty"`
}

// A PartitionAddress is an address of a slot. Only the full master knows gateways and networks.
type PartitionAddress struct {
	Interface string `json:"interface"`
	IP        string `json:"ip"`
	Netmask   string `json:"netmask,omitempty"`
	Gateway   string `json:"gateway,omitempty"`
	Network   string `json:"network,omitempty"`
}

// A Supply is a software release that is wanted on a computer, or wanted away.
type Supply struct {
	Computer string    `json:"computer"`
	URL      string    `json:"url"`
	State    string    `json:"state"` // Available or Destroyed
	Created  time.Time `json:"created"`
	Order    int64     `json:"order"` // they are listed in this
	Revision int64     `json:"-"`
}

// An Instance is an instance: one that has a partition, a shared one, or one for which there
// was no place yet.
type Instance struct {
	ID    string `json:"id"` // never used again
	Title string `json:"title"`
	Root  string `json:"root"` // the ID of its tree's root; of a root its own
	// the ID of the instance that asked for it; "": a user did
	Parent  string `json:"parent,omitempty"`
	Owner   string `json:"owner,omitempty"` // the user that asked for the tree
	Project string `json:"project,omitempty"`
	Shared  bool   `json:"shared,omitempty"`

	Release string `json:"release"`
	Type    string `json:"type"`
	Asked   string `json:"asked"` // the state that was asked for
	// the state that is wanted, as its tree is
	State string `json:"state"`
	// an <instance> document; see FormatParameters
	Parameters string            `json:"parameters,omitempty"`
	Connection string            `json:"connection,omitempty"` // the same; "": none was ever given
	Filter     map[string]string `json:"filter,omitempty"`

	Placement

	// when something of it was changed that its node must know, in microseconds; it only grows
	Stamp    int64     `json:"stamp,omitempty"`
	Created  time.Time `json:"created"`
	Revision int64     `json:"-"`
}

// A Placement is where an instance is, of a shared one where its host is to be; or why it has no
// place.
type Placement struct {
	Computer  string `json:"computer,omitempty"`
	Partition string `json:"partition,omitempty"` // "": it has none
	// when it got its partition, in microseconds; 0: not noted, so not before it was made
	Placed int64 `json:"placed,omitempty"`
	// of a shared one, the ID of its host; "": it has none
	Host   string `json:"host,omitempty"`
	Reason string `json:"reason,omitempty"` // why it has no place
	// a shared one that has none because of a limit, towards which it does not count
	Beyond bool `json:"beyond,omitempty"`
}

// A Forward is a request that was passed on to another master.
type Forward struct {
	Title   string    `json:"title"` // as it was passed on
	Master  string    `json:"master"`
	Created time.Time `json:"created"`
}

// A Status is what a node said last of a computer, a release on one, or an instance.
type Status struct {
	Computer string `json:"computer,omitempty"`
	State    string `json:"state,omitempty"` // the last that was reported; "": none was
	Message  string `json:"message,omitempty"`
	// the message is of an error that came after the state
	Error bool      `json:"error,omitempty"`
	Since time.Time `json:"since"` // when state or message became what they are
	At    time.Time `json:"at"`    // when it was said last, or a little before
}

// A Usage is a usage report.
type Usage struct {
	Computer string    `json:"computer"`
	At       time.Time `json:"at"`
	Report   string    `json:"report"` // see ParseUsage
}

// A Certificate is a certificate that the authority of a master has signed, and that counts:
// one that is revoked has no record any more.
type Certificate struct {
	Serial string `json:"serial"`
	Of     string `json:"of"`   // the kind of its holder: one of those below
	Name   string `json:"name"` // of the computer, or the user; the ID of the instance
	Admin  bool   `json:"admin,omitempty"`
	// Project is the project of the user's requests by it. Groups are those of the user when it was
	// signed.
	Project string `json:"project,omitempty"`
	Groups  string `json:"groups,omitempty"` // a line each

	Until time.Time `json:"until"`
	// of an instance alone, which is given it again and again
	Pair proto.Certificate `json:"pair,omitzero"`
}

// A Token is a token for one certificate. The token itself is not stored.
type Token struct {
	Hash string `json:"hash"` // of the token
	// the holder of the certificate: CertifiedUser or CertifiedComputer
	Of string `json:"of"`
	// the user of the certificate, or the future owner of the computer; "": none
	User  string `json:"user,omitempty"`
	Admin bool   `json:"admin,omitempty"` // the user may do everything
	// of the user's requests, or of the computer
	Project  string    `json:"project,omitempty"`
	Computer string    `json:"computer,omitempty"` // the computer's name; "": the master makes one
	Until    time.Time `json:"until"`
}

// A Root is the directory in which releases are that are files.
type Root struct {
	Path string `json:"path"`
}

// Kinds of holders of certificates.
const (
	CertifiedComputer = "computer"
	CertifiedUser     = "user"
	CertifiedInstance = "instance"
)
