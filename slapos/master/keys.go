package master

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/slapos/slap"
)

// sep stands between the parts of a key: no name may have it, as XML cannot carry it.
const sep = "\x1f"

func key(parts ...string) string { return strings.Join(parts, sep) }

// The longest names, in characters: what a title may have in the JSON API, and what an index of a
// database takes. PostgreSQL's takes 2,704 bytes, and a computer and a URL stand in one together,
// of which a character may have 4 bytes and no URL more than 2,000.
const (
	MaxTitle = 200
	MaxID    = 150
	MaxURL   = 2000
)

// CheckName checks a name that comes from elsewhere: what is kept must be such that it can be
// told to others.
func CheckName(what, text string, most int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return Invalid("%s is empty", what)
	case !utf8.ValidString(text):
		return Invalid("%s is not UTF-8", what)
	case utf8.RuneCountInString(text) > most || len(text) > MaxURL:
		return Invalid("%s is longer than %d characters", what, most)
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return Invalid("%s has the character U+%04X, which no document can carry", what, r)
		}
	}
	return nil
}

// newID makes what names an instance for good.
func newID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return "INST-" + hex.EncodeToString(b[:])
}

// rootName and childName are what may be there once.
func rootName(owner, project, title string, shared bool) string {
	return key("root", owner, project, title, flag(shared))
}

func childName(root, title string, shared bool) string {
	return key("in", root, title, flag(shared))
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func placeOf(computer, partition string) string { return key(computer, partition) }

// waitingFor is where a shared instance without a host is found, when one may have come.
func waitingFor(computer, release string) string { return key("", computer, release) }

// nowhere is where instances without a partition are found.
const nowhere = sep + "none"

func nameOf(n *slap.InstanceRecord) string {
	if n.Root == n.ID {
		return rootName(n.Owner, n.Project, n.Title, n.Shared)
	}
	return childName(n.Root, n.Title, n.Shared)
}

// titleIn is the title in the name of an instance.
func titleIn(name string) string {
	name = name[:strings.LastIndex(name, sep)]
	return name[strings.LastIndex(name, sep)+len(sep):]
}

// entryOf is an instance as it is stored.
func entryOf(n *slap.InstanceRecord) slap.Entry {
	e := slap.Entry{Kind: slap.KindInstance, Key: n.ID, Name: nameOf(n), Tree: n.Root, Host: hostOf(n), Computer: n.Computer, Data: pack(n)}
	if takesPlace(n) {
		e.Place = placeOf(n.Computer, n.Partition)
	}
	return e
}

// hostOf is where an instance is found that has no partition of its own.
func hostOf(n *slap.InstanceRecord) string {
	switch {
	case n.Beyond: // no host that comes may have it
		return nowhere
	case n.Shared && n.Host == "":
		return waitingFor(n.Computer, n.Release)
	case n.Shared:
		return n.Host
	case n.Partition != "":
		return ""
	}
	return nowhere
}

func pack(record any) []byte {
	b, _ := json.Marshal(record) // records have nothing that could fail
	return b
}

func unpack[T any](e slap.Entry) (*T, error) {
	v := new(T)
	return v, json.Unmarshal(e.Data, v)
}

func computerOf(e slap.Entry) (*slap.ComputerRecord, error) {
	c, err := unpack[slap.ComputerRecord](e)
	c.Revision = e.Revision
	return c, err
}

func supplyOf(e slap.Entry) (*slap.SupplyRecord, error) {
	s, err := unpack[slap.SupplyRecord](e)
	s.Revision = e.Revision
	return s, err
}

func instanceOf(e slap.Entry) (*slap.InstanceRecord, error) {
	n, err := unpack[slap.InstanceRecord](e)
	n.Revision = e.Revision
	return n, err
}
