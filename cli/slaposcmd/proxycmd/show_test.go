package proxycmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/store/sqlite"
)

// What was imported is shown, in tables and as JSON; of tables those that are asked for.
func TestSlaposProxyShow(t *testing.T) {
	file := proxyConfiguration(t, proxyFile)
	if err := runImport(t.Context(), quiet(file), oldProxy(t), &importOptions{}); err != nil {
		t.Fatal(err)
	}
	show := func(o showOptions, asJSON bool) string {
		t.Helper()
		var out bytes.Buffer
		a := cli.NewApp(strings.NewReader(""), &out, io.Discard)
		a.JSON = asJSON
		if err := runShow(t.Context(), sessionOf(a, file), &o); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got, want := show(showOptions{}, false), `Computers: 1
COMPUTER  ADDRESS  NETMASK  PARTITIONS
--------  -------  -------  ----------
COMP-1    ::1               2

Software: 0

Partitions: 2
COMPUTER  PARTITION  STATE    TITLE  ROOT   TYPE     RELEASE
--------  ---------  -------  -----  -----  -------  -------
COMP-1    part0
COMP-1    part1      started  Größe  Größe  default  u

Shared instances: 0

Parameters: 1
COMPUTER  PARTITION  NAME  VALUE
--------  ---------  ----  -----
COMP-1    part1      a     b

Addresses: 0
`; got != want {
		t.Errorf("got = %s; want got == want", got)
	}
	if got := show(showOptions{params: true},
		false); got != "Parameters: 1\nCOMPUTER  PARTITION  NAME  VALUE\n--------  ---------  ----  -----\nCOMP-1    part1      a     b\n" {
		t.Errorf(
			"got = %s"+
				"; want got == \"Parameters: 1\\nCOMPUTER  PARTITION  NAME  VALUE\\n--------  ---------  ---- "+
				" -----\\nCOMP-1    part1      a     b\\n\"",
			got,
		)
	}
	var v shownView
	if text := show(showOptions{partitions: true}, true); json.Unmarshal([]byte(text), &v) != nil ||
		len(v.Partitions) != 2 || v.Partitions[1].Title != "Größe" || v.Partitions[1].Parameters != nil || v.Computers != nil {
		t.Errorf("text = %s", text)
	}
	// What nobody has formatted has software too, and what has no place is there with why.
	f, err := (quiet(file)).NodeFile("")
	if err != nil {
		t.Fatal(err)
	}
	at, err := storeAddress(f, "")
	if err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(t.Context(), at, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := master.New(t.Context(), master.Options{Store: st, Computer: "COMP-2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Computers.Supply(t.Context(), access.Anybody, "COMP-2", "later", proto.Available); err != nil {
		t.Fatal(err)
	}
	for _, shared := range []bool{false, true} {
		if _, err := m.Requests.Request(
			t.Context(), access.Anybody, &proto.Request{Title: "late", Release: "u", Shared: shared},
		); !errors.Is(err, compute.ErrNoCapacity) {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := show(showOptions{computers: true, software: true, shared: true}, false), `Computers: 1
COMPUTER  ADDRESS  NETMASK  PARTITIONS
--------  -------  -------  ----------
COMP-1    ::1               2

Software: 1
COMPUTER  STATE      RELEASE
--------  ---------  -------
COMP-2    available  later

Shared instances: 0

Without a place: 1
TITLE  ROOT  STATE    TYPE     RELEASE  REASON
-----  ----  -------  -------  -------  ------------------------------------------------------
late   late  started  default  u        no instance of u of type default on COMP-2 can have it
`; got != want {
		t.Errorf("got = %s; want got == want", got)
	}
	v = shownView{}
	if text := show(showOptions{}, true); json.Unmarshal([]byte(text), &v) != nil || len(v.Waiting) != 2 ||
		v.Waiting[0].Title != "late" || v.Waiting[0].Reason == "" {
		t.Errorf(
			"text = %s"+
				"; want json.Unmarshal([]byte(text), &v) == nil and len(v.Waiting) == 2 and "+
				`v.Waiting[0].Title == "late" and v.Waiting[0].Reason != ""`,
			text,
		)
	}
	o := &showOptions{database: filepath.Join(t.TempDir(), "none.db")}
	if err := runShow(t.Context(), quiet(file), o); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("err = %v; want error compute.ErrNotFound", err)
	}
}
