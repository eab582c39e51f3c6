package master_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/migrate"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/slapos/slapproxy"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// capturedDatabase is a file with what the reference's database had after the recordings.
func capturedDatabase(t *testing.T) string {
	t.Helper()
	var tables map[string]struct {
		Columns, Types []string
		Rows           [][]any
	}
	if err := json.Unmarshal(slaptest.Database(), &tables); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "proxy.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, table := range tables {
		columns := make([]string, len(table.Columns))
		for i, c := range table.Columns {
			columns[i] = c + " " + table.Types[i]
		}
		if _, err := db.Exec("CREATE TABLE " + name + " (" + strings.Join(columns, ", ") + ")"); err != nil {
			t.Fatal(err)
		}
		for _, row := range table.Rows {
			if _, err := db.Exec("INSERT INTO "+name+" VALUES (?"+strings.Repeat(", ?", len(row)-1)+")", row...); err != nil {
				t.Fatal(err)
			}
		}
	}
	return path
}

func recordsOf(c *slapproxy.Content) migrate.Records {
	return migrate.Records{Computers: c.Computers, Supplies: c.Supplies, Instances: c.Instances, Forwards: c.Forwards}
}

// The database of the reference's master is imported, and the answers are those that it gave then.
func TestImportCaptured(t *testing.T) {
	c, err := slapproxy.Read(t.Context(), capturedDatabase(t), slapproxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Notes) != 4 || len(c.Computers) != 2 || len(c.Instances) != 2 || len(c.Supplies) != 2 {
		t.Errorf(
			"c = %+v"+
				"; want len(c.Notes) == 4 and len(c.Computers) == 2 and len(c.Instances) == 2 and "+
				"len(c.Supplies) == 2",
			c,
		)
	}
	for _, reference := range []string{"_my slave", "second_sub slave", "_guided slave", "_json shared"} {
		if !strings.Contains(strings.Join(c.Notes, "\n"), "shared instance "+reference+" on COMP-") {
			t.Errorf("nothing is said of %s: %q", reference, c.Notes)
		}
	}
	m := open(t, reference())
	if err := migrate.Import(t.Context(), m, recordsOf(c), migrate.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	h := web.New(m, wire.Options{})
	legacy := slaptest.Exchanges(t, "legacy")
	last := legacy[len(legacy)-1]
	if !strings.HasPrefix(last.Path, "/getFullComputerInformation") {
		t.Fatal("the last of the legacy recordings is ", last.Path)
	}
	replay(t, h, []*slaptest.Exchange{last}, nil)
	replay(t, h, slaptest.Exchanges(t, "hateoas"), map[int]string{
		124: "1.5: the known 500 is none here",
		126: "the order is that of names",
	})
	// The requester is known by its title, and the same request again changes nothing but its time,
	// which the old one wrote with more digits.
	r := &rig{m, t}
	a := r.ask(proto.Request{Title: "Renamed slave", Release: "https://software.example/other/software.cfg"})
	if a.Partition != "slappart1" || a.Timestamp != "1795160215.203183" {
		t.Errorf(`a.Instance = %+v; want a.Partition == "slappart1" and a.Timestamp == "1795160215.203183"`, a.Instance)
	}
	if a := r.ask(proto.Request{
		Title: "slv", Shared: true, Release: "https://software.example/other/software.cfg",
	}); a.Partition != "slappart1" {
		t.Errorf(`a.Instance = %+v; want a.Partition == "slappart1"`, a.Instance)
	}
	if a := r.ask(proto.Request{Title: "new"}); a.Partition != "slappart0" {
		t.Errorf(`a.Instance = %+v; want a.Partition == "slappart0"`, a.Instance)
	}
}

// tree is a root with a child and a shared instance on a computer, and a release.
func tree(guid, title string) migrate.Records {
	return migrate.Records{
		Computers: []record.Computer{{GUID: guid, Partitions: []record.Partition{{ID: "p0"}, {ID: "p1"}}}},
		Supplies:  []record.Supply{{Computer: guid, URL: demo, State: proto.Available, Order: 1}},
		Instances: []record.Instance{
			{
				ID: "INST-" + title, Root: "INST-" + title, Title: title, Release: demo, Type: "default",
				Asked: proto.Started, State: proto.Started, Stamp: 1,
				Placement: record.Placement{Computer: guid, Partition: "p0"},
			},
			{
				ID: "INST-c" + title, Root: "INST-" + title, Parent: "INST-" + title, Title: "child", Release: demo,
				Type: "default", Asked: proto.Started, State: proto.Started,
				Placement: record.Placement{Computer: guid, Partition: "p1"},
			},
			{
				ID: "INST-s" + title, Root: "INST-s" + title, Title: "shared " + title, Shared: true, Release: demo,
				Type: "default", Asked: proto.Started, State: proto.Started, Placement: record.Placement{Computer: guid, Host: "INST-" + title},
			},
		},
		Forwards: []record.Forward{{Title: "user_x", Master: "https://other.example/"}},
	}
}

func TestImport(t *testing.T) {
	r := newRig(t, master.Options{})
	take := func(in migrate.Records, opt migrate.ImportOptions, kind error, says string) {
		t.Helper()
		err := migrate.Import(t.Context(), r.Master, in, opt)
		if kind == nil && err != nil || !errors.Is(err, kind) || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
	titles := func() (all []string) {
		t.Helper()
		trees, err := r.Instances.Trees(t.Context(), access.Anybody, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range trees {
			all = append(all, n.Record.Title)
		}
		return all
	}
	take(tree("COMP-1", "one"), migrate.ImportOptions{DryRun: true}, nil, "")
	if all := titles(); len(all) != 0 {
		t.Errorf("after a dry run: %q", all)
	}
	take(tree("COMP-1", "one"), migrate.ImportOptions{}, nil, "")
	if all := titles(); len(all) != 2 || all[0] != "one" || all[1] != "shared one" {
		t.Errorf(`all = %q; want len(all) == 2 and all[0] == "one" and all[1] == "shared one"`, all)
	}
	c, err := r.Computers.Computer(t.Context(), access.Anybody, "COMP-1")
	if err != nil || len(c.Releases) != 1 || len(c.Partitions) != 2 || len(c.Partitions[0].Shared) != 1 ||
		c.Partitions[1].RootTitle != "one" {
		t.Errorf(
			"c = %+v, err = %v"+
				"; want no error and len(c.Releases) == 1 and len(c.Partitions) == 2 and "+
				`len(c.Partitions[0].Shared) == 1 and c.Partitions[1].RootTitle == "one"`,
			c, err,
		)
	}

	// What is there already is not touched, and what comes with it is not taken either.
	take(tree("COMP-1", "two"), migrate.ImportOptions{}, compute.ErrConflict, "The computer COMP-1 is known here already.")
	both := tree("COMP-2", "two")
	both.Instances = append(both.Instances, tree("COMP-2", "one").Instances[:1]...)
	both.Instances[3].Partition = "p2"
	both.Instances[3].ID = "INST-other"
	both.Instances[3].Root = "INST-other"
	take(both, migrate.ImportOptions{}, compute.ErrConflict, "There is an instance with the title one already, on COMP-1.")
	bad := tree("COMP-2", "two")
	bad.Instances[2].Title = "a\x00b"
	take(bad, migrate.ImportOptions{}, compute.ErrInvalid, "U+0000")
	bad = tree("COMP-2", "two")
	bad.Instances[1].Partition = "p0" // as the first
	take(bad, migrate.ImportOptions{}, compute.ErrConflict, "The instances two and child are both in p0 of COMP-2.")
	if all := titles(); len(all) != 2 {
		t.Errorf("all = %q; want len(all) == 2", all)
	}
	if computers, err := r.Computers.All(t.Context(), access.Anybody); err != nil || len(computers) != 1 {
		t.Errorf("%d computers, %v", len(computers), err)
	}

	// Replaced, nothing of what was there stays.
	take(tree("COMP-1", "two"), migrate.ImportOptions{Replace: true}, nil, "")
	if all := titles(); len(all) != 2 || all[0] != "two" || all[1] != "shared two" {
		t.Errorf(`all = %q; want len(all) == 2 and all[0] == "two" and all[1] == "shared two"`, all)
	}
	take(tree("COMP-1", "two"), migrate.ImportOptions{Replace: true}, nil, "") // the same again

	// A tree that is elsewhere too is not torn apart.
	wide := tree("COMP-3", "wide")
	wide.Instances[1].Computer = "COMP-4"
	take(wide, migrate.ImportOptions{}, nil, "")
	take(tree("COMP-3", "three"), migrate.ImportOptions{Replace: true}, compute.ErrConflict, "The tree of wide is on COMP-4 too")
	if all := titles(); len(all) != 4 {
		t.Errorf("all = %q; want len(all) == 4", all)
	}
}

// What is replaced can show no certificate any more, even where an instance of the same ID comes.
func TestImportRevokes(t *testing.T) {
	r, ctx := newRig(t, certifying(t)), t.Context()
	if err := migrate.Import(ctx, r.Master, tree("COMP-1", "one"), migrate.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	var serials []string
	for _, n := range tree("COMP-1", "one").Instances {
		pair, err := r.Certificates.InstanceCertificate(ctx, access.Anybody, &n)
		serials = append(serials, serialOf(t, pair, err))
	}
	pair, err := r.Certificates.ComputerCertificate(ctx, access.Anybody, "COMP-1")
	node := serialOf(t, pair, err)
	if err := migrate.Import(ctx, r.Master, tree("COMP-1", "one"), migrate.ImportOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	for i, serial := range serials {
		if who, err := r.Certificates.Certified(ctx, serial); !errors.Is(err, compute.ErrDenied) {
			t.Errorf("instance %d: %+v, %v", i, who, err)
		}
	}
	if _, err := r.Certificates.Certified(ctx, node); err != nil { // its computer stays
		t.Error(err)
	}
}

// Two at a time: one of them imports.
func TestImportTogether(t *testing.T) {
	r := newRig(t, master.Options{})
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			errs <- migrate.Import(context.WithoutCancel(t.Context()), r.Master, tree("COMP-1", "one"), migrate.ImportOptions{})
		}()
	}
	took := 0
	for range cap(errs) {
		if err := <-errs; err == nil {
			took++
		} else if !errors.Is(err, compute.ErrConflict) {
			t.Error(err)
		}
	}
	if took != 1 {
		t.Errorf("%d of them did", took)
	}
	if status, _ := send(
		t, web.New(r.Master, wire.Options{}),
		&slaptest.Exchange{Method: http.MethodGet, Path: "/getFullComputerInformation?computer_id=COMP-1"},
	); status != http.StatusOK {
		t.Errorf("status = %d; want status == http.StatusOK", status)
	}
}
