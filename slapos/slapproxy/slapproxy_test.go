package slapproxy_test

import (
	"bytes"
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/slapos/slapproxy"
)

const demo = "https://software.example/demo/software.cfg"

// schema is the tables of the old databases, with the versions since which columns are there;
// without one they are in all.
var schema = []struct {
	table      string
	first, end int // the versions with it; 0: no end
	columns    string
	since      map[string]int
}{
	{"software", 10, 0, "url computer_reference requested_state", map[string]int{"computer_reference": 11, "requested_state": 12}},
	{"computer", 10, 0, "reference address netmask", map[string]int{"reference": 11}},
	{"partition", 10, 0,
		"reference computer_reference slap_state software_release xml connection_xml slave_instance_list software_type partition_reference requested_by requested_state timestamp",
		map[string]int{"computer_reference": 11, "timestamp": 14}},
	{"slave", 10, 0, "reference computer_reference connection_xml hosted_by asked_by", map[string]int{"computer_reference": 11}},
	{
		"partition_network", 10, 0, "partition_reference computer_reference reference address netmask",
		map[string]int{"computer_reference": 11},
	},
	{"forwarded_partition_request", 11, 0, "partition_reference master_url", nil},
	{"local_software_release_root", 15, 17, "path", nil},
	{"config", 17, 0, "name value", nil},
}

// proxy is a database of slapproxy.
type proxy struct {
	t       *testing.T
	path    string
	version int
	db      *sql.DB
}

func newProxy(t *testing.T, version int) *proxy {
	t.Helper()
	p := &proxy{t: t, path: filepath.Join(t.TempDir(), "proxy ?#%.db"), version: version}
	if err := os.WriteFile(p.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.db, err = sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(p.path)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.db.Close() })
	for _, table := range schema {
		if version < table.first || table.end != 0 && version >= table.end {
			continue
		}
		var columns []string
		for _, c := range strings.Fields(table.columns) {
			if version >= table.since[c] {
				columns = append(columns, c+map[bool]string{true: " REAL", false: " TEXT"}[c == "timestamp"])
			}
		}
		p.exec(fmt.Sprintf("CREATE TABLE %s%d (%s)", table.table, version, strings.Join(columns, ", ")))
	}
	return p
}

func (p *proxy) exec(query string, args ...any) {
	p.t.Helper()
	if _, err := p.db.Exec(query, args...); err != nil {
		p.t.Fatal(query, err)
	}
}

// add adds a row: of its columns those that the version has.
func (p *proxy) add(table string, values map[string]any) {
	p.t.Helper()
	var columns, marks []string
	var args []any
	for _, of := range schema {
		for _, c := range strings.Fields(of.columns) {
			if v, given := values[c]; of.table == table && given && p.version >= of.since[c] {
				columns, marks, args = append(columns, c), append(marks, "?"), append(args, v)
			}
		}
	}
	p.exec(
		fmt.Sprintf("INSERT INTO %s%d (%s) VALUES (%s)", table, p.version, strings.Join(columns, ", "), strings.Join(marks, ", ")),
		args...,
	)
}

// busy adds a partition with an instance, and changes some of it.
func (p *proxy) busy(id, title, by string, more map[string]any) {
	p.t.Helper()
	values := map[string]any{"reference": id, "computer_reference": "COMP-1", "slap_state": "busy",
		"software_release": demo, "software_type": "default",
		"xml":                 "<?xml version='1.0' encoding='utf-8'?>\n<instance>\n  <parameter id=\"of\">" + title + "</parameter>\n</instance>\n",
		"partition_reference": title,
		"requested_by":        by, "requested_state": "started", "timestamp": 1795160215.2031827}
	for k, v := range more {
		values[k] = v
	}
	p.add("partition", values)
}

func (p *proxy) read() *slapproxy.Content {
	p.t.Helper()
	c, err := slapproxy.Read(p.t.Context(), p.path, slapproxy.Options{Computer: "COMP-1", Owner: "ann"})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// shown is the instances of a content, a line for each: title, place, root, who asked for it,
// state.
func shown(c *slapproxy.Content) (lines []string) {
	titles := map[string]string{"": "-"}
	for _, n := range c.Instances {
		titles[n.ID] = n.Title
	}
	for _, n := range c.Instances {
		lines = append(
			lines,
			strings.Join([]string{n.Title, cmp.Or(n.Partition, "at "+titles[n.Host]), titles[n.Root], titles[n.Parent], n.State}, " | "),
		)
	}
	return lines
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Each version has a tree of three, a shared instance, a release and addresses; all that differs is
// what the version can say.
func TestVersions(t *testing.T) {
	for version := slapproxy.Oldest; version <= slapproxy.Newest; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			p := newProxy(t, version)
			p.add("computer", map[string]any{"reference": "COMP-1", "address": "2001:db8::1", "netmask": "ffff::"})
			p.add("software", map[string]any{"url": demo, "computer_reference": "COMP-1", "requested_state": "destroyed"})
			asked := func(title, partition string) string {
				if version >= 17 {
					return title
				}
				return partition
			}
			list := `<marshal><list id="i2"><dictionary id="i3"><string>name</string><string>a &amp;amp; b</string><string>slap_software_type</string><string>default</string>` +
				`<string>slave_reference</string><string>` + asked("root", "part0") + `_my_slave</string><string>slave_title</string><string>` + asked("root", "part0") + `_my_slave</string></dictionary></list></marshal>`
			p.busy("part2", "grandchild", asked("root", "part1"), nil)
			p.busy("part1", "child", asked("root", "part0"), map[string]any{"requested_state": "stopped"})
			p.busy(
				"part0", "root", "",
				map[string]any{"slave_instance_list": list, "connection_xml": "<instance><parameter id='url'>x</parameter></instance>"},
			)
			if version < 17 {
				p.exec(fmt.Sprintf("UPDATE partition%d SET requested_by = NULL WHERE requested_by = ''", version))
			}
			p.add(
				"partition",
				map[string]any{"reference": "part3", "computer_reference": "COMP-1", "slap_state": "free", "requested_state": "started"},
			)
			p.add("slave", map[string]any{"reference": asked("root", "part0") + "_my_slave",
				"computer_reference": "COMP-1", "hosted_by": "part0", "asked_by": asked("root", "part0"),
				"connection_xml": "<instance><parameter id='url'>shared</parameter></instance>"})
			for i := range 4 {
				p.add(
					"partition_network",
					map[string]any{
						"partition_reference": fmt.Sprint("part", i), "computer_reference": "COMP-1", "reference": "tap",
						"address": fmt.Sprint("10.0.0.", i), "netmask": "255.255.255.255",
					},
				)
			}
			if version >= 11 {
				p.add(
					"forwarded_partition_request",
					map[string]any{"partition_reference": "user_x", "master_url": "https://other.example/"},
				)
			}
			var notes []string
			switch {
			case version >= 17:
				p.add("config", map[string]any{"name": "local_software_release_root", "value": "/sr"})
			case version >= 15:
				p.add("local_software_release_root", map[string]any{"path": "/sr"})
			}
			if version < 17 {
				notes = append(
					notes,
					"shared instance part0_my_slave in part0 of COMP-1 is called root_my_slave from now on: that is the title of its root",
				)
			}
			c := p.read()
			if root := map[bool]string{true: "/sr"}[version >= 15]; c.Root != root {
				t.Errorf("local releases are in %q", c.Root)
			}
			if c.Version != version {
				t.Errorf("version %d", c.Version)
			}
			parent, state := "child", proto.Stopped
			if version >= 17 {
				parent, state = "root", proto.Started // who asked for it is not known: its root
			}
			inherited := []string{"instance grandchild in part2 of COMP-1 was started in a tree that is stopped: it is stopped too"}
			if version >= 17 {
				inherited = nil
			}
			same(t, "notes", c.Notes, append(inherited, notes...)...)
			want := []string{
				"root | part0 | root | - | started", "child | part1 | root | root | stopped",
				"grandchild | part2 | root | " + parent + " | " + state, "my_slave | at root | root | root | started",
			}
			got := shown(c)
			slices.Sort(got)
			slices.Sort(want)
			same(t, "instances", got, want...)
			for _, n := range c.Instances {
				stamp := int64(1795160215203183)
				if version < 14 {
					stamp = 0
				}
				if n.Stamp != stamp || n.Computer != "COMP-1" || n.Release != demo || n.Type != "default" || n.Owner != "ann" {
					t.Errorf(
						"n = %+v"+
							`; want n.Stamp == stamp and n.Computer == "COMP-1" and n.Release == demo and n.Type == `+
							`"default" and n.Owner == "ann"`,
						n,
					)
				}
				parameters, err := proto.ParseParameters(n.Parameters)
				if want := "a & b"; err != nil || n.Shared && (len(parameters) != 1 || parameters["name"] != want) ||
					!n.Shared && parameters["of"] != n.Title {
					t.Errorf(
						"parameters = %v, err = %v"+
							`; want no error and (!n.Shared or len(parameters) == 1 and parameters["name"] == want) `+
							`and (n.Shared or parameters["of"] == n.Title)`,
						parameters, err,
					)
				}
				connection, err := proto.ParseParameters(n.Connection)
				if want := map[bool]any{true: "shared", false: "x"}[n.Shared]; err != nil ||
					(n.Shared || n.Title == "root") && connection["url"] != want {
					t.Errorf(
						"%s: connection = %v, err = %v"+
							`; want no error and (!n.Shared and n.Title != "root" or connection["url"] == want)`,
						n.Title, connection, err,
					)
				}
			}
			if len(c.Computers) != 1 || c.Computers[0].GUID != "COMP-1" || c.Computers[0].Address != "2001:db8::1" ||
				len(c.Computers[0].Partitions) != 4 {
				t.Fatalf(
					"c.Computers = %+v"+
						`; want len(c.Computers) == 1 and c.Computers[0].GUID == "COMP-1" and `+
						`c.Computers[0].Address == "2001:db8::1" and len(c.Computers[0].Partitions) == 4`,
					c.Computers,
				)
			}
			if first := c.Computers[0].Partitions[0]; first.ID != "part2" || len(first.Addresses) != 1 ||
				first.Addresses[0] != (record.PartitionAddress{Interface: "tap", IP: "10.0.0.2", Netmask: "255.255.255.255"}) {
				t.Errorf("first = %+v", first)
			}
			supply := map[bool]string{true: proto.Destroyed, false: proto.Available}[version >= 12]
			if len(c.Supplies) != 1 || c.Supplies[0].Computer != "COMP-1" || c.Supplies[0].State != supply {
				t.Errorf(
					"c.Supplies = %+v"+
						`; want len(c.Supplies) == 1 and c.Supplies[0].Computer == "COMP-1" and `+
						"c.Supplies[0].State == supply",
					c.Supplies,
				)
			}
			if version >= 11 && (len(c.Forwards) != 1 || c.Forwards[0].Title != "user_x") {
				t.Errorf(
					"c.Forwards = %+v"+
						`; want version < 11 or len(c.Forwards) == 1 and c.Forwards[0].Title == "user_x"`,
					c.Forwards,
				)
			}
		})
	}
}

// What is odd is taken as well as can be, and said.
func TestOdd(t *testing.T) {
	p := newProxy(t, 16)
	p.add("computer", map[string]any{"reference": "COMP-1"})
	p.busy("a", "broken", "gone", nil)
	p.busy("b", "one", "c", nil)
	p.busy("c", "two", "b", nil)
	p.busy("d", "below", "b", nil)
	p.busy("e", "itself", "e", nil)
	p.busy("f", "twin", "", nil)
	p.busy("g", "twin", "", nil)
	p.busy(
		"h", "xml", "",
		map[string]any{
			"xml": "<instance>", "connection_xml": "<!DOCTYPE x><instance/>", "requested_state": "paused",
			"slave_instance_list": "<marshal>",
		},
	)
	p.busy("i", "", "", map[string]any{"software_release": nil})
	p.busy("j", "", "", nil)
	p.busy("k", "half", "", map[string]any{"slap_state": "dreaming"})
	p.busy("l", "far", "b", map[string]any{"computer_reference": "COMP-2"})
	p.busy("a", "again", "", nil)
	p.add("slave", map[string]any{"reference": "_left", "computer_reference": "COMP-1", "asked_by": ""})
	p.add("software", map[string]any{"url": demo, "computer_reference": "COMP-3", "requested_state": "half"})
	p.add(
		"partition_network",
		map[string]any{"partition_reference": "z", "computer_reference": "COMP-1", "reference": "tap", "address": "10.0.0.9"},
	)
	p.exec("CREATE TABLE mine (x)")
	p.exec("CREATE TABLE partition15 (x)")
	p.exec("ALTER TABLE computer16 ADD COLUMN colour TEXT")
	if !slapproxy.Is(t.Context(), p.path) || slapproxy.Is(t.Context(), filepath.Dir(p.path)) {
		t.Error("it does not know what it reads")
	}
	c := p.read()
	same(t, "instances", shown(c), "broken | a | broken | - | started", "one | b | one | - | started", "two | c | one | one | started", "below | d | one | one | started",
		"itself | e | itself | - | started", "twin | f | twin | - | started", "twin (g of COMP-1) | g | twin (g of COMP-1) | - | started", "xml | h | xml | - | started", "j | j | j | - | started",
		"far | l | far | - | started")
	same(t, "notes", c.Notes,
		"table computer16: what its column colour is for is not known, and nothing of it is taken",
		"table mine: what it is for is not known, and nothing of it is taken",
		"table partition15 is of an older version, and nothing of it is taken",
		"computer COMP-2: it has partitions, and was never formatted; it is taken without an address",
		"partition a of COMP-1 is there twice; the first is taken",
		"address 10.0.0.9 is of a partition z of COMP-1, which is not there; it is not taken",
		`release `+demo+` on COMP-3: its state "half" is not known; it is taken for available`,
		"i of COMP-1 is busy without a release: it is taken for free",
		`k of COMP-1 is neither free nor busy, but "dreaming": it is taken for free`,
		"instance broken in a of COMP-1 was asked for by gone, which is not there: it is taken as a root",
		"instance itself in e of COMP-1 was asked for by e, which is not there: it is taken as a root",
		"instance far in l of COMP-2 was asked for by b, which is not there: it is taken as a root",
		"instance one in b of COMP-1 was asked for by c, and that by it: it is taken as a root",
		"instance twin in g of COMP-1: another has that title; it gets the title twin (g of COMP-1)",
		`instance xml in h of COMP-1: its state "paused" is not known; it is taken for started`,
		"instance xml in h of COMP-1: its parameters cannot be read, and are not taken: "+after(t, c, "its parameters cannot be read"),
		"instance xml in h of COMP-1: its connection parameters cannot be read, and are not taken: "+after(
			t, c, "its connection parameters cannot be read",
		),
		"instance j in j of COMP-1 has no title: it gets that of its partition",
		"instance xml in h of COMP-1: the list of its shared instances cannot be read, and none of them is taken: "+after(
			t, c, "the list of its shared instances",
		),
		"shared instance _left on COMP-1: no instance has it, as it was destroyed or its host is gone; it is not taken")
}

// after is what a note that has a text goes on with, after its last ": ", which is for another
// package to say.
func after(t *testing.T, c *slapproxy.Content, text string) string {
	t.Helper()
	for _, note := range c.Notes {
		if _, rest, found := strings.Cut(note, text); found {
			if _, rest, found = strings.Cut(rest, "taken: "); found && rest != "" {
				return rest
			}
		}
	}
	t.Errorf("no note has %q with a reason", text)
	return ""
}

func TestShared(t *testing.T) {
	p := newProxy(t, 17)
	entry := func(n int, reference string) string {
		return fmt.Sprintf(`<dictionary id="i%d"><string>slave_reference</string><string>%s</string></dictionary>`, n, reference)
	}
	p.add("computer", map[string]any{"reference": "COMP-1"})
	p.busy("a", "big_root", "", map[string]any{"slave_instance_list": `<marshal><list id="i2">` + entry(3, "big_root_x") + entry(4, "_y_z") + entry(5, "gone_q") + entry(6, "_p") +
		`<string>odd</string>` + `</list></marshal>`})
	p.busy(
		"b", "ended", "",
		map[string]any{
			"requested_state":     "destroyed",
			"slave_instance_list": `<marshal><list id="i2">` + entry(3, "big_root_x") + entry(4, "ended_e") + `</list></marshal>`,
		},
	)
	p.busy("c", "child", "ended", nil)
	p.add("slave", map[string]any{"reference": "gone_q", "computer_reference": "COMP-1", "asked_by": "gone"})
	p.add("slave", map[string]any{"reference": "_p", "computer_reference": "COMP-1", "asked_by": "big_root"})
	c := p.read()
	same(t, "instances", shown(c), "big_root | a | big_root | - | started", "ended | b | ended | - | destroyed", "child | c | ended | ended | destroyed",
		"x | at big_root | big_root | big_root | started", "y_z | at big_root | y_z | - | started", "q | at big_root | q | - | started", "_p | at big_root | _p | - | started")
	same(t, "notes", c.Notes,
		"instance child in c of COMP-1 was started in a tree that is destroyed: it is destroyed too",
		"shared instance big_root_x in a of COMP-1 has no row of its own: by its name it was asked for by big_root",
		"shared instance _y_z in a of COMP-1 has no row of its own: by its name it was asked for by a user",
		"shared instance gone_q in a of COMP-1 was asked for by gone, which is not there: it is taken as a root",
		"shared instance _p in a of COMP-1 was asked for by big_root, which its name does not begin with: it is taken as a root",
		"instance big_root in a of COMP-1: one of its shared instances cannot be read; it is not taken",
		"shared instance big_root_x in b of COMP-1: another instance has it too; it is not taken twice",
		"shared instance ended_e in b of COMP-1 has no row of its own: by its name it was asked for by ended",
		"shared instance ended_e in b of COMP-1 is of a tree that is destroyed; it is not taken")
}

func TestForeign(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) string{
		"there is no such file": func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") },
		"it is not a file":      func(t *testing.T) string { return t.TempDir() },
		"it is not a database of slapproxy": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "text")
			if err := os.WriteFile(path, bytes.Repeat([]byte("no database\n"), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		},
		"it has no tables such as partition17": func(t *testing.T) string {
			p := newProxy(t, 17)
			for _, table := range schema {
				p.exec("DROP TABLE IF EXISTS " + table.table + "17")
			}
			p.exec("CREATE TABLE other (x)")
			return p.path
		},
		"its schema has version 18, and 10 to 17 are known": func(t *testing.T) string {
			p := newProxy(t, 17)
			p.exec("ALTER TABLE partition17 RENAME TO partition18")
			return p.path
		},
		"its schema has version 9, and": func(t *testing.T) string {
			p := newProxy(t, 10)
			for _, table := range schema[:5] {
				p.exec("ALTER TABLE " + table.table + "10 RENAME TO " + table.table + "9")
			}
			return p.path
		},
		"of version 17: it has no table slave17": func(t *testing.T) string {
			p := newProxy(t, 17)
			p.exec("DROP TABLE slave17")
			return p.path
		},
		"of version 14: table partition14 has no column timestamp": func(t *testing.T) string {
			p := newProxy(t, 14)
			p.exec("ALTER TABLE partition14 DROP COLUMN timestamp")
			return p.path
		},
		"it has rows without a computer": func(t *testing.T) string {
			p := newProxy(t, 10)
			p.busy("a", "x", "", nil)
			return p.path
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := slapproxy.Read(t.Context(), make(t), slapproxy.Options{})
			e, ok := errors.AsType[*compute.Error](err)
			if !ok || !strings.Contains(err.Error(), name) || e.Hint == "" && !strings.Contains(name, "not a file") {
				t.Errorf(`err = %v; want ok and err.Error() with name and (e.Hint != "" or name with "not a file")`, err)
			}
		})
	}
}

// A database that slapproxy writes at the time is read as it was, and nothing about it changes.
func TestUnchanged(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			p := newProxy(t, 17)
			p.exec("PRAGMA journal_mode = " + mode)
			p.add("computer", map[string]any{"reference": "COMP-1"})
			p.busy("a", "committed", "", nil)
			before, err := os.ReadFile(p.path)
			if err != nil {
				t.Fatal(err)
			}
			tx, err := p.db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec("UPDATE partition17 SET partition_reference = 'not yet'"); err != nil {
				t.Fatal(err)
			}
			same(t, "instances", shown(p.read()), "committed | a | committed | - | started")
			after, err := os.ReadFile(p.path)
			if err != nil || !bytes.Equal(before, after) {
				t.Error("the file was changed", err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			same(t, "instances", shown(p.read()), "not yet | a | not yet | - | started")
		})
	}
}
