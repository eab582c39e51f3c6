package ledger

import (
	"encoding/json"
	"strings"

	slaposrecord "github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// ComputerEntry is a computer as it is stored.
func ComputerEntry(c *slaposrecord.Computer) store.SlapEntry {
	return store.SlapEntry{Kind: slaposrecord.KindComputer, Key: c.GUID, Name: computerName(c), Data: Pack(c)}
}

// computerName is what may be there once, of a computer that has a title.
func computerName(c *slaposrecord.Computer) string {
	if c.Title == "" {
		return ""
	}
	return Key("computer", c.Owner, c.Project, c.Title)
}

// Placed says whether an instance is somewhere.
func Placed(n *slaposrecord.Instance) bool { return n.Partition != "" || n.Host != "" }

// sep stands between the parts of a key: no name may have it, as XML cannot carry it.
const sep = "\x1f"

// Key is a key of several parts.
func Key(parts ...string) string { return strings.Join(parts, sep) }

// RootName and childName are what may be there once.
func RootName(owner, project, title string, shared bool) string {
	return Key("root", owner, project, title, flag(shared))
}

// ChildName is what may be there once: an instance of a title below a root.
func ChildName(root, title string, shared bool) string {
	return Key("in", root, title, flag(shared))
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func placeOf(computer, partition string) string { return Key(computer, partition) }

// WaitingFor is where a shared instance without a host is found, when one may have come.
func WaitingFor(computer, release string) string { return Key("", computer, release) }

// nowhere is where instances without a partition are found.
const nowhere = sep + "none"

// NameOf is the name by which an instance may be there once.
func NameOf(n *slaposrecord.Instance) string {
	if n.Root == n.ID {
		return RootName(n.Owner, n.Project, n.Title, n.Shared)
	}
	return ChildName(n.Root, n.Title, n.Shared)
}

// titleIn is the title in the name of an instance.
func titleIn(name string) string {
	name = name[:strings.LastIndex(name, sep)]
	return name[strings.LastIndex(name, sep)+len(sep):]
}

// entryOf is an instance as it is stored.
func entryOf(n *slaposrecord.Instance) store.SlapEntry {
	e := store.SlapEntry{
		Kind: slaposrecord.KindInstance, Key: n.ID, Name: NameOf(n), Tree: n.Root, Host: hostOf(n), Computer: n.Computer, Data: Pack(n),
	}
	if takesPlace(n) {
		e.Place = placeOf(n.Computer, n.Partition)
	}
	return e
}

// hostOf is where an instance is found that has no partition of its own.
func hostOf(n *slaposrecord.Instance) string {
	switch {
	case n.Beyond: // no host that comes may have it
		return nowhere
	case n.Shared && n.Host == "":
		return WaitingFor(n.Computer, n.Release)
	case n.Shared:
		return n.Host
	case n.Partition != "":
		return ""
	}
	return nowhere
}

// Pack is a record as an entry has it.
func Pack(record any) []byte {
	b, _ := json.Marshal(record) // records have nothing that could fail
	return b
}

// Unpack is the record of an entry.
func Unpack[T any](e store.SlapEntry) (*T, error) {
	v := new(T)
	return v, json.Unmarshal(e.Data, v)
}

func computerOf(e store.SlapEntry) (*slaposrecord.Computer, error) {
	c, err := Unpack[slaposrecord.Computer](e)
	c.Revision = e.Revision
	return c, err
}

// SupplyOf is the supply of an entry.
func SupplyOf(e store.SlapEntry) (*slaposrecord.Supply, error) {
	s, err := Unpack[slaposrecord.Supply](e)
	s.Revision = e.Revision
	return s, err
}

func instanceOf(e store.SlapEntry) (*slaposrecord.Instance, error) {
	n, err := Unpack[slaposrecord.Instance](e)
	n.Revision = e.Revision
	return n, err
}

// DefaultType is the software type of a request without one.
const DefaultType = "default"

// CutKey is the first part of a key, and the rest.
func CutKey(key string) (first, rest string) {
	first, rest, _ = strings.Cut(key, sep)
	return first, rest
}

// PlainType takes the two words for the default for one.
func PlainType(t string) string {
	if t == "" || t == "RootSoftwareInstance" {
		return DefaultType
	}
	return t
}

// SupplyEntry is a supply as it is stored.
func SupplyEntry(s *slaposrecord.Supply) store.SlapEntry {
	return store.SlapEntry{Kind: slaposrecord.KindSupply, Key: Key(s.Computer, s.URL), Computer: s.Computer, Data: Pack(s)}
}
