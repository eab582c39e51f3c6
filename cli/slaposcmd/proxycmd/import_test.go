package proxycmd

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/migrate"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// oldProxy is a database of slapproxy with an instance whose requester is gone.
func oldProxy(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "proxy.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		"CREATE TABLE software12 (url, computer_reference, requested_state)", "CREATE TABLE computer12 (reference, address, netmask)",
		"CREATE TABLE partition12 (reference, computer_reference, slap_state, software_release, xml, connection_xml, slave_instance_list, software_type, partition_reference, requested_by, requested_state)",
		"CREATE TABLE slave12 (reference, computer_reference, connection_xml, hosted_by, asked_by)",
		"CREATE TABLE partition_network12 (partition_reference, computer_reference, reference, address, netmask)",
		"INSERT INTO computer12 VALUES ('COMP-1', '::1', '')",
		"INSERT INTO partition12 (reference, computer_reference, slap_state) VALUES ('part0', 'COMP-1', 'free')",
		"INSERT INTO partition12 VALUES ('part1', 'COMP-1', 'busy', 'u', '<instance><parameter id=\"a\">b</parameter></instance>', NULL, NULL, 'default', 'Größe', 'part9', 'started')",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("q = %v, err = %v; want no error", q, err)
		}
	}
	return path
}

// What an old proxy had is imported, and a new one serves it.
func TestSlaposProxyImport(t *testing.T) {
	old, file := oldProxy(t), proxyConfiguration(t, proxyFile)
	run := func(o *importOptions, asJSON bool) (out, errs string, err error) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		a := cli.NewApp(strings.NewReader(""), &stdout, &stderr)
		a.JSON = asJSON
		err = runImport(t.Context(), sessionOf(a, file), old, o)
		return stdout.String(), stderr.String(), err
	}
	store := filepath.Join(filepath.Dir(file), "master.db")
	if _, errs, err := run(
		&importOptions{ImportOptions: migrate.ImportOptions{DryRun: true}}, false,
	); err != nil || !strings.Contains(errs, "was not changed") {
		t.Errorf(`errs = %s, err = %v; want no error and errs with "was not changed"`, errs, err)
	}
	if _, err := os.Stat(store); !errors.Is(err, os.ErrNotExist) {
		t.Error("a dry run makes the file:", err)
	}
	_, errs, err := run(&importOptions{}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"is of schema version 12: computers: 1, partitions: 2, instances: 1, shared instances: 0, releases: 0, forwarded requests: 0",
		"WARNING instance Größe in part1 of COMP-1 was asked for by part9, which is not there: it is taken as a root",
		"Imported into " + store} {
		if !strings.Contains(errs, want) {
			t.Errorf("%s\nwithout %q", errs, want)
		}
	}
	_, _, err = run(&importOptions{}, false)
	if e, ok := errors.AsType[*compute.Error](err); !ok || !errors.Is(err, compute.ErrConflict) ||
		!strings.Contains(e.Hint, "--replace") || !strings.Contains(err.Error(), "COMP-1 is known here already") {
		t.Errorf("the second time: %v", err)
	}
	out, errs, err := run(&importOptions{ImportOptions: migrate.ImportOptions{Replace: true}}, true)
	var view importView
	if err != nil || json.Unmarshal([]byte(out), &view) != nil || view.Version != 12 || view.Instances != 1 ||
		len(view.Notes) != 1 || errs != "" {
		t.Errorf(
			"out = %s, errs = %s, err = %v"+
				"; want no error and json.Unmarshal([]byte(out), &view) == nil and view.Version == 12 and "+
				`view.Instances == 1 and len(view.Notes) == 1 and errs == ""`,
			out, errs, err,
		)
	}
	if _, _, err := run(&importOptions{database: old}, false); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "into itself") {
		t.Errorf(`err = %v; want error compute.ErrInvalid and err.Error() with "into itself"`, err)
	}

	start := quiet(file)
	err = runStart(t.Context(), start, &startOptions{database: old})
	if e, ok := errors.AsType[*compute.Error](err); !ok ||
		!strings.Contains(err.Error(), "is a database of slapproxy") || !strings.Contains(e.Hint, "hostler slapos proxy import "+old) {
		t.Errorf("started on the old one: %v", err)
	}
	url, end := proxied(t, file, &startOptions{})
	c, err := client.New(client.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n, err := c.Request(t.Context(), &proto.Request{Title: "Größe", Release: "u", Parameters: proto.Dictionary{"a": "b"}})
	if err != nil || n.Partition != "part1" {
		t.Errorf(`n = %+v, err = %v; want no error and n.Partition == "part1"`, n, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// Nobody need have a configuration to import.
func TestSlaposProxyImportAlone(t *testing.T) {
	if _, err := os.Stat(session.DefaultNodeFile); err == nil {
		t.Skip("this machine has a " + session.DefaultNodeFile)
	}
	t.Setenv("SLAPOS_CONFIGURATION", "")
	s := quiet("")
	store := filepath.Join(t.TempDir(), "master.db")
	if err := runImport(t.Context(), s, oldProxy(t), &importOptions{database: store, owner: "ann"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(store); err != nil {
		t.Error(err)
	}
}
