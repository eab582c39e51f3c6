package master_test

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/slaptest"
	"github.com/hostler-project/hostler/store/sqlite"
)

// Whatever is sent to the legacy endpoints and the hypermedia API, the answer is no fault of ours,
// has words, and can be read; and what a node is told can still be told.
func FuzzLegacy(f *testing.F) {
	for _, e := range slaptest.Exchanges(f, "") {
		if !strings.HasPrefix(e.Path, "/slapos.") {
			f.Add(e.Method == "POST", strings.TrimPrefix(e.Path, "/"), e.Body)
		}
	}
	odd := []string{
		"", "\x00", "\xff", "😀", "\u202e", "None", strings.Repeat("a", 300), "C\x1fp0", "<&>", "%", "../..", "a\r\nb",
		"\ufffe", "-", "___0",
	}
	for _, text := range odd {
		form := url.Values{}
		for _, name := range []string{"computer_id", "computer_partition_id", "url", "state", "error_log", "message",
			"new_name", "slave_reference", "use_string", "computer_title", "project_reference",
			"partition_reference", "software_release", "software_type", "computer_reference", "computer_partition_reference"} {
			form.Set(name, text)
		}
		form.Set("computer_id", "C")
		for _, doc := range []string{
			text, value(proto.Dictionary{"k": "v"}),
			`<marshal><dictionary id="i2"><string>` + url.QueryEscape(text) + `</string><string>v</string></dictionary></marshal>`,
		} {
			for _, name := range []string{"xml", "connection_xml", "partition_parameter_xml", "filter_xml", "instance_reference_xml"} {
				form.Set(name, doc)
			}
			for _, endpoint := range []string{"requestComputerPartition", "supplySupply",
				"loadComputerConfigurationFromXML", "setComputerPartitionConnectionXml", "softwareInstanceRename",
				"useComputer", "requestComputer",
				"softwareInstanceError", "softwareReleaseError", "updateComputerPartitionRelatedInstanceList"} {
				f.Add(true, endpoint, form.Encode())
			}
		}
		for _, endpoint := range []string{
			"getFullComputerInformation", "registerComputerPartition", "getSoftwareInstallationStatus",
			"getComputerPartitionStatus",
		} {
			f.Add(false, endpoint+"?"+form.Encode(), "")
		}
		f.Add(false, "hateoas/partitions/"+url.PathEscape(text), "")
		f.Add(
			false,
			"hateoas/?mode=search&query="+url.QueryEscape(
				`portal_type:"Instance Tree" AND validation_state:validated AND title:="`+text+`"`,
			),
			"",
		)
	}
	m := open(f, master.Options{Computer: "C"})
	h := web.New(m, wire.Options{})
	if err := m.Computers.Format(
		f.Context(), access.Anybody,
		&proto.Configuration{Computer: "C", Partitions: []proto.ConfiguredPartition{{ID: "p0"}, {ID: "p1"}}},
	); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, write bool, path, body string) {
		link, err := url.Parse("http://master/" + path)
		if err != nil || link.Host != "master" || strings.HasPrefix(link.Path, "/hostler.watch") {
			return // no client can send it; or it would wait
		}
		method := "GET"
		if write {
			method = "POST"
		}
		r := httptest.NewRequest(method, "http://master/", strings.NewReader(body))
		r.URL, r.Host = link, "master"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(t.Context()))
		said := w.Body.String()
		if w.Code >= 500 || w.Code >= 400 && reason([]byte(said)) == "" {
			t.Fatalf(
				"method = %s path = %q body = %q: w.Code = %d said = %s"+
					`; want w.Code < 500 and (w.Code < 400 or reason([]byte(said)) != "")`,
				method, path, body, w.Code, said,
			)
		}
		if strings.HasPrefix(said, "<marshal>") {
			if _, err := proto.Unmarshal([]byte(said)); err != nil {
				t.Fatalf("method = %s path = %q body = %q: err = %v: said = %s; want no error", method, path, body, err, said)
			}
		}
		if write && w.Code == 200 {
			if _, _, err := m.Computers.Information(t.Context(), access.Anybody, "C"); err != nil {
				t.Fatalf("after %q %q the node cannot be told: %v", path, body, err)
			}
		}
	})
}

// A tree that was destroyed leaves nothing in the store, whatever was said of its instances.
func TestDestroyedLeavesNothing(t *testing.T) {
	opt := certifying(t)
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	opt.Store, opt.Computer = st, "C"
	m, err := master.New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{m, t}
	ctx, who := t.Context(), access.Anybody
	r.format("C", 6)
	r.ask(proto.Request{Title: "stays"})
	before := entries(t, st)

	r.ask(proto.Request{Title: "root"})
	r.ask(proto.Request{Title: "child", Computer: "C", Partition: "p1"})
	r.ask(proto.Request{Title: "below", Computer: "C", Partition: "p2"})
	r.ask(proto.Request{Title: "mine", Computer: "C", Partition: "p1", Shared: true})
	r.ask(proto.Request{Title: "deep", Computer: "C", Partition: "p3", Shared: true})
	for title, q := range map[string]proto.Request{
		"elsewhere": {Filter: proto.Dictionary{"computer_guid": "D"}}, "hostless": {Shared: true, Release: "none"},
	} {
		q.Title, q.Computer, q.Partition = title, "C", "p1"
		if q.Release == "" {
			q.Release = demo
		}
		if _, err := m.Requests.Request(ctx, who, &q); !errors.Is(err, compute.ErrNoCapacity) {
			t.Fatalf("%s: err = %v; want error compute.ErrNoCapacity", title, err)
		}
	}
	for p, references := range map[string][]string{"p0": {"root_mine", "root_deep"}, "p1": {""}, "p2": {""}, "p3": {""}} {
		for _, reference := range references {
			if err := m.Statuses.InstanceError(ctx, who, "C", p, reference, "said"); err != nil {
				t.Fatalf("p = %s reference = %s: err = %v; want no error", p, reference, err)
			}
		}
		if n, err := m.Instances.FindAt(ctx, who, "C", p); err != nil {
			t.Fatal(err)
		} else if n.Record.Title == "stays" {
			continue // and so does what it has
		} else if _, err := m.Certificates.InstanceCertificate(ctx, who, n.Record); err != nil {
			t.Fatal(err)
		}
	}
	r.ask(proto.Request{Title: "root", State: proto.Destroyed})
	for _, p := range []string{"p3", "p2", "p1"} {
		if err := m.Statuses.InstanceReported(ctx, who, "C", p, proto.Stopped); err != nil {
			t.Fatal(err)
		}
		if children, err := m.Instances.InstanceDestroyed(ctx, who, "C", p); err != nil || len(children) != 0 {
			t.Fatalf("children = %v, err = %v; want no error and len(children) == 0", children, err)
		}
	}
	kept := map[string]bool{}
	for _, e := range before {
		kept[string(e.Kind)+" "+e.Key] = true
	}
	after := entries(t, st)
	for _, e := range after {
		if !kept[string(e.Kind)+" "+e.Key] {
			t.Errorf("the destroyed tree leaves %s %q %s", e.Kind, e.Key, e.Data)
		}
	}
	if len(after) != len(before) {
		t.Errorf("there are %d entries, and %d were there before", len(after), len(before))
	}
}
