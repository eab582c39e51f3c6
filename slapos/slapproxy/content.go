package slapproxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// Options say what a database does not.
type Options struct {
	// Computer is computer_id of slapproxy's configuration: to it belongs what the database gives
	// no computer. In version 10 that is everything.
	Computer string
	// the user that will own all of it; "": none, as in a master without authentication
	Owner string
}

// Content is what a database has, as records of a master.
type Content struct {
	Version   int
	Computers []record.Computer
	Supplies  []record.Supply
	Instances []record.Instance // roots before what they asked for
	Forwards  []record.Forward
	// the directory of local releases; "": none was said, or all files are below it
	Root string
	// a sentence for each part that was not understood, left out, or guessed
	Notes []string
}

// reader makes a Content of a database.
type reader struct {
	*database
	opt Options
	now time.Time
	out *Content

	computers map[string]int               // in out.Computers
	places    map[[2]string]*usedPartition // by computer and partition
	order     []*usedPartition             // as they are stored
	titles    map[string]*usedPartition    // roots
	named     map[[2]string]bool           // titles that are taken, by root's ID, or "" for roots
	slaves    map[[2]string]row            // by computer and reference
	hosted    map[[2]string]bool           // those that a host has
	made      map[*usedPartition]*instance // by then
	instances []*instance                  // in the order of the records
}

// usedPartition is a partition that has an instance.
type usedPartition struct {
	row
	computer, partition string
	parent              *usedPartition // nil: it is a root
}

// instance is an instance that is in a partition.
type instance struct {
	record.Instance
	at *usedPartition
}

// Read reads a database. It fails with compute.ErrInvalid where the file is none, or of another
// version.
func Read(ctx context.Context, path string, opt Options) (*Content, error) {
	d, err := load(ctx, path)
	if err != nil {
		return nil, err
	}
	r := &reader{database: d, opt: opt, now: time.Now().UTC(), out: &Content{Version: d.version},
		computers: map[string]int{}, places: map[[2]string]*usedPartition{},
		titles: map[string]*usedPartition{}, named: map[[2]string]bool{}, slaves: map[[2]string]row{},
		hosted: map[[2]string]bool{}, made: map[*usedPartition]*instance{}}
	if opt.Computer == "" && r.hasUnnamedComputers() {
		return nil, failed(
			path, compute.ErrInvalid, errors.New("it has rows without a computer"),
			"--computer-id, or computer_id in [slapos] of the file that --cfg names, says whose they are",
		)
	}
	r.readComputers()
	r.readSupplies()
	r.place()
	r.findRequesters()
	for _, p := range r.order {
		r.make(p)
	}
	r.readShared()
	for _, n := range r.instances {
		r.out.Instances = append(r.out.Instances, n.Instance)
	}
	r.readRest()
	r.out.Notes = d.notes
	return r.out, nil
}

// hasUnnamedComputers says whether there are rows whose computer is only known from slapproxy's
// configuration.
func (r *reader) hasUnnamedComputers() bool {
	for _, table := range []string{"software", "partition", "slave", "partition_network"} {
		for _, one := range r.rows[table] {
			if one.text("computer_reference") == "" {
				return true
			}
		}
	}
	for _, one := range r.rows["computer"] {
		if one.text("reference") == "" {
			return true
		}
	}
	return false
}

// computerOf is the computer of a row, by a column.
func (r *reader) computerOf(one row, column string) string {
	if guid := one.text(column); guid != "" {
		return guid
	}
	return r.opt.Computer
}

// readComputers makes the computers, with their partitions and addresses, from three tables. Rows
// that do not fit become notes.
func (r *reader) readComputers() {
	for _, one := range r.rows["computer"] {
		c := r.computer(r.computerOf(one, "reference"))
		c.Address, c.Netmask = one.text("address"), one.text("netmask")
	}
	for _, one := range r.rows["partition"] {
		guid, id := r.computerOf(one, "computer_reference"), one.text("reference")
		if _, known := r.computers[guid]; !known {
			r.note("computer %s: it has partitions, and was never formatted; it is taken without an address", guid)
		}
		c := r.computer(guid)
		if partition(c, id) != nil {
			r.note("partition %s of %s is there twice; the first is taken", id, guid)
			continue
		}
		c.Partitions = append(c.Partitions, record.Partition{ID: id})
	}
	for _, one := range r.rows["partition_network"] {
		guid, id := r.computerOf(one, "computer_reference"), one.text("partition_reference")
		var p *record.Partition
		if at, known := r.computers[guid]; known {
			p = partition(&r.out.Computers[at], id)
		}
		if p == nil {
			r.note("address %s is of a partition %s of %s, which is not there; it is not taken", one.text("address"), id, guid)
			continue
		}
		p.Addresses = append(
			p.Addresses,
			record.PartitionAddress{Interface: one.text("reference"), IP: one.text("address"), Netmask: one.text("netmask")},
		)
	}
}

// computer is the record of a computer, which is made at the first call.
func (r *reader) computer(guid string) *record.Computer {
	at, known := r.computers[guid]
	if !known {
		at = len(r.out.Computers)
		r.computers[guid] = at
		r.out.Computers = append(r.out.Computers, record.Computer{GUID: guid, Owner: r.opt.Owner, Created: r.now})
	}
	return &r.out.Computers[at]
}

func partition(c *record.Computer, id string) *record.Partition {
	for i := range c.Partitions {
		if c.Partitions[i].ID == id {
			return &c.Partitions[i]
		}
	}
	return nil
}

func (r *reader) readSupplies() {
	seen := map[[2]string]bool{}
	for i, one := range r.rows["software"] {
		s := record.Supply{
			Computer: r.computerOf(one, "computer_reference"), URL: one.text("url"), State: one.text("requested_state"),
			Created: r.now, Order: int64(i + 1),
		}
		switch s.State {
		case proto.Available, proto.Destroyed:
		case "":
			s.State = proto.Available
		default:
			r.note("release %s on %s: its state %q is not known; it is taken for available", s.URL, s.Computer, s.State)
			s.State = proto.Available
		}
		if at := [2]string{s.Computer, s.URL}; s.URL == "" || seen[at] {
			r.note("release %q on %s: it has no URL, or is there twice; it is not taken", s.URL, s.Computer)
		} else {
			seen[at] = true
			r.out.Supplies = append(r.out.Supplies, s)
		}
	}
}

// readRest reads the tables of neither computers nor instances.
func (r *reader) readRest() {
	seen := map[[2]string]bool{}
	for _, one := range r.rows["forwarded_partition_request"] {
		f := record.Forward{Title: one.text("partition_reference"), Master: one.text("master_url"), Created: r.now}
		if at := [2]string{f.Title, f.Master}; !seen[at] {
			seen[at] = true
			r.out.Forwards = append(r.out.Forwards, f)
		}
	}
	for _, one := range r.rows["local_software_release_root"] {
		r.root(one.text("path"))
	}
	for _, one := range r.rows["config"] {
		if one.text("name") == "local_software_release_root" {
			r.root(one.text("value"))
			continue
		}
		r.note("setting %s: what it is for is not known; it is not taken", one.text("name"))
	}
}

// root takes the directory of local releases, if it is absolute. slapproxy writes "/" or "." for
// none.
func (r *reader) root(path string) {
	switch path = filepath.Clean(path); {
	case path == "." || path == "/": // slapproxy's own word for none
	case !filepath.IsAbs(path):
		r.note("local_software_release_root was %s, which is no absolute path; it is not taken", path)
	default:
		r.out.Root = path
	}
}

// newID makes what names an instance for good.
func newID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return "INST-" + hex.EncodeToString(b[:])
}

// stamp is a time in seconds as one in microseconds; 0: there is none.
func stamp(v any) int64 {
	seconds, ok := v.(float64)
	if whole, is := v.(int64); is {
		seconds, ok = float64(whole), true
	}
	if !ok || !(seconds > 0 && seconds < 1<<40) {
		return 0
	}
	return int64(math.Round(seconds * 1e6))
}
