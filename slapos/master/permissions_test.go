package master_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/legacy"
	"github.com/hostler-project/hostler/slapos/master/rpc"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/slapos/master/wire"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
	"github.com/hostler-project/hostler/store/sqlite"
)

// comers are the callers of a master that has ann's instance {id} with the title "secret title"
// in p0 of COMP-1, bob's {other} on COMP-2, and releases on COMP-1.
var comers = map[string]func(id, other string) access.Who{
	"nobody": func(string, string) access.Who { return access.Who{} },
	"node":   func(string, string) access.Who { return access.Who{Computer: "COMP-1"} },
	"node2":  func(string, string) access.Who { return access.Who{Computer: "COMP-2"} },
	"ann":    func(string, string) access.Who { return access.Who{User: "ann", Name: "ann"} },
	"bob":    func(string, string) access.Who { return access.Who{User: "bob", Name: "bob"} },
	"self":   func(id, _ string) access.Who { return access.Who{Instance: id} },
	"self2":  func(_, other string) access.Who { return access.Who{Instance: other} },
	"admin":  func(string, string) access.Who { return access.Anybody },
}

// insiders are those who may hear of ann's instance at all.
const insiders = "node ann self admin"

// A right says who may use a route, by a request that says all that it needs; all others are
// refused.
type right struct {
	route, may string // names of comers; all: everybody
	query      string // of a GET
	form       string // of a POST
	json       string // the same
}

const (
	computer = "computer_id=COMP-1"
	slot     = computer + "&computer_partition_id=p0"
	wanted   = "software_release=" + demo + "&software_type=default&partition_reference=new&state=%3Cmarshal%3E%3Cnone%2F%3E%3C%2Fmarshal%3E"
	byGUID   = `{"computer_guid": "COMP-1"}`
	byID     = `{"instance_guid": "{id}"}`
)

var rights = []right{
	{"getFullComputerInformation", "node admin", computer, "", ""},
	{"getComputerInformation", "node admin", computer, "", ""},
	{"registerComputerPartition", insiders, "computer_reference=COMP-1&computer_partition_reference=p0", "", ""},
	{"getRunId", "all", "x=y", "", ""},
	{"getHateoasUrl", "all", "x=y", "", ""},
	{"getSoftwareReleaseListFromSoftwareProduct", "all", "software_product_reference=demo", "", ""},
	{"getComputerPartitionCertificate", insiders, slot, "", ""},
	{"getComputerStatus", "node admin", computer, "", ""},
	{"getComputerPartitionStatus", insiders, slot, "", ""},
	{"getSoftwareInstallationStatus", "node admin", computer + "&url=" + demo, "", ""},
	{"getHostingSubscriptionIpList", insiders, slot, "", ""},

	{"requestComputerPartition", "ann bob self self2 admin", "", wanted, ""},
	{"requestComputerPartition", "node self admin", "", wanted + "&" + slot, ""},
	{"supplySupply", "node admin", "", computer + "&url=u&state=available", ""},
	{"loadComputerConfigurationFromXML", "node admin", "", format("COMP-1", "p0").body, ""},
	{
		"setComputerPartitionConnectionXml", "node self admin", "",
		slot + "&connection_xml=%3Cmarshal%3E%3Cdictionary%20id%3D%22i2%22%2F%3E%3C%2Fmarshal%3E", "",
	},
	// itself only where that is wanted: TestInstanceCertificate
	{"destroyedComputerPartition", "node admin", "", slot, ""},
	{"startedComputerPartition", "node self admin", "", slot, ""},
	{"stoppedComputerPartition", "node self admin", "", slot, ""},
	{"softwareInstanceError", "node self admin", "", slot + "&error_log=x", ""},
	{"softwareInstanceBang", "node self admin", "", slot + "&message=x", ""},
	{"softwareInstanceRename", "node self admin", "", slot + "&new_name=x", ""},
	{"buildingSoftwareRelease", "node admin", "", computer + "&url=" + demo, ""},
	{"availableSoftwareRelease", "node admin", "", computer + "&url=" + demo, ""},
	{"destroyedSoftwareRelease", "node admin", "", computer + "&url=gone", ""},
	{"softwareReleaseError", "node admin", "", computer + "&error_log=x&url=" + demo, ""},
	{"computerBang", "node admin", "", computer + "&message=x", ""},
	{"useComputer", "node admin", "", computer + "&use_string=%3Cjournal%2F%3E", ""},
	{"requestComputer", "ann bob admin", "", "computer_title=x", ""},
	{"generateComputerCertificate", "node admin", "", computer, ""},
	{"revokeComputerCertificate", "node admin", "", computer, ""},
	{
		"updateComputerPartitionRelatedInstanceList", "node admin", "",
		slot + "&instance_reference_xml=%3Cmarshal%3E%3Clist%20id%3D%22i2%22%2F%3E%3C%2Fmarshal%3E", "",
	},

	{"slapos.get.v0.hateoas_url", "all", "", "", `{}`},
	{"slapos.put.v0.compute_node_format", "node admin", "", "", `{"computer_guid": "COMP-1", "compute_partition_list": []}`},
	{"slapos.put.v0.compute_node_bang", "node admin", "", "", `{"computer_guid": "COMP-1", "message": "x"}`},
	{"slapos.post.v0.compute_node_usage", "node admin", "", "", `{"computer_guid": "COMP-1", "tioxml": "<journal/>"}`},
	{"slapos.get.v0.compute_node_status", "node admin", "", "", byGUID},
	{"slapos.post.v0.compute_node_certificate", "node admin", "", "", byGUID},
	{"slapos.remove.v0.compute_node_certificate", "node admin", "", "", byGUID},
	{"slapos.post.v0.software_installation", "node admin", "", "", `{"computer_guid": "COMP-1", "software_release_uri": "u"}`},
	{
		"slapos.put.v0.software_installation_reported_state", "node admin", "", "",
		`{"computer_guid": "COMP-1", "software_release_uri": "gone", "reported_state": "destroyed"}`,
	},
	{
		"slapos.put.v0.software_installation_error", "node admin", "", "",
		`{"computer_guid": "COMP-1", "software_release_uri": "` + demo + `", "message": "x"}`,
	},
	{"slapos.allDocs.v0.compute_node_software_installation_list", "node admin", "", "", byGUID},
	{"slapos.allDocs.v0.compute_node_instance_list", "node admin", "", "", byGUID},
	{
		"slapos.post.v0.software_instance", "ann bob self self2 admin", "", "",
		`{"title": "new", "software_release_uri": "` + demo + `", "software_type": "default"}`,
	},
	{"slapos.get.v0.software_instance", insiders, "", "", byID},
	{"slapos.get.v0.compute_partition", insiders, "", "", `{"computer_guid": "COMP-1", "compute_partition_id": "p0"}`},
	// by a title one finds one's own
	{"slapos.get.v0.instance_tree", "ann", "", "", `{"title": "secret title"}`},
	{"slapos.allDocs.v0.instance_tree_list", "all", "", "", `{}`},
	{"slapos.allDocs.v0.instance_node_instance_list", insiders, "", "", byID},
	{"slapos.put.v0.software_instance_reported_state", "node self admin", "", "", `{"instance_guid": "{id}", "reported_state": "started"}`},
	{"slapos.put.v0.software_instance_reported_state", "node admin", "", "", `{"instance_guid": "{id}", "reported_state": "destroyed"}`},
	{"slapos.put.v0.software_instance_error", "node self admin", "", "", `{"instance_guid": "{id}", "message": "x"}`},
	{"slapos.put.v0.software_instance_bang", insiders, "", "", `{"instance_guid": "{id}", "message": "x"}`},
	{"slapos.put.v0.software_instance_title", insiders, "", "", `{"instance_guid": "{id}", "title": "x"}`},
	{
		"slapos.put.v0.software_instance_connection_parameter", "node self admin", "", "",
		`{"instance_guid": "{id}", "connection_parameter_dict": {"a": "b"}}`,
	},
	{"slapos.get.v0.software_instance_certificate", insiders, "", "", byID},
	{"slapos.allDocs.WIP.compute_node_list", "all", "", "", `{}`},

	{"hateoas", "all", "x=y", "", ""},
	{
		"hateoas/{$}", "all",
		"mode=search&select_list=title&query=" + "portal_type%3A%22Instance+Tree%22+AND+validation_state%3Avalidated",
		"", "",
	},
	{"hateoas/partitions/{title}", "ann", "title=secret%20title", "", ""},
	{"hateoas/instances/{guid}", insiders, "guid={id}", "", ""},
	{"hateoas/computers/{guid}", "node admin", "guid=COMP-1", "", ""},
	{"hateoas/computers/{guid}/releases/{url}", "node admin", "guid=COMP-1&url=gone", "", ""},
	{"hateoas/computer_module/Base_getComputerToken", "ann bob admin", "x=y", "", ""},
	{"hostler.watch.v0.compute_node", "node admin", "computer_guid=COMP-1&after=0", "", ""},
	{"hostler.put.v0.compute_node_report", "node admin", "", "", `{"computer_guid": "COMP-1"}`},
	{"hostler.put.v0.compute_node_report", "node admin", "computer_guid=COMP-1", "", ""},
	{"hostler.remove.v0.user_certificate", "ann admin", "", "", `{"user": "ann"}`},
	{"Person_getCertificate", "", "", "x=y", ""}, // with a token: TestEnrol
	{"Person_requestComputer", "", "", "title=x", ""},
}

// request is what somebody sends to use the route.
func (r right) request(t *testing.T, id string) *http.Request {
	t.Helper()
	path, query, body := "/"+strings.TrimSuffix(r.route, "{$}"), strings.ReplaceAll(r.query, "{id}", id), strings.ReplaceAll(r.json, "{id}", id)
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for name := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(values.Get(name)))
	}
	method, kind := http.MethodPost, "application/json"
	switch {
	case query != "":
		method, kind = http.MethodGet, ""
	case r.form != "":
		kind, body = "application/x-www-form-urlencoded", r.form
	}
	out := httptest.NewRequestWithContext(t.Context(), method, path+"?"+query, strings.NewReader(body))
	out.Header.Set("Content-Type", kind)
	return out
}

// Each route serves the callers that may use it and refuses all others. A refusal changes nothing
// and tells nothing of what belongs to others. A route without a row fails.
func TestWhoMayWhat(t *testing.T) {
	opt := certifying(t)
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	opt.Store = st
	var who access.Who
	var h http.Handler
	var ids [2]string
	begin := func() {
		wipe(t, st)
		m, err := master.New(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		h = web.New(m, wire.Options{Who: func(*http.Request) (access.Who, error) { return who, nil }})
		r := &rig{m, t}
		for i, user := range []string{"ann", "bob"} {
			guid := fmt.Sprint("COMP-", i+1)
			r.format(guid, 3)
			a, err := m.Requests.Request(
				t.Context(), access.Who{User: user},
				&proto.Request{Title: []string{"secret title", "other"}[i], Release: demo, Filter: proto.Dictionary{"computer_guid": guid}},
			)
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = a.Record.ID
		}
		for url, state := range map[string]string{demo: proto.Available, "gone": proto.Destroyed} {
			if err := firstOf(
				m.Computers.Supply(t.Context(), access.Anybody, "COMP-1", url, proto.Available),
				m.Computers.Supply(t.Context(), access.Anybody, "COMP-1", url, state),
			); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Computers.ReportNode(t.Context(), access.Anybody, &nodereport.Report{Computer: "COMP-1"}); err != nil {
			t.Fatal(err)
		}
	}
	use := func(r right, as string) (int, string) {
		who = comers[as](ids[0], ids[1])
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.request(t, ids[0]))
		for _, secret := range []string{"secret title", ids[0]} {
			if strings.Contains(w.Body.String(), secret) && !strings.Contains(r.query+r.json, url.PathEscape(secret)) &&
				!strings.Contains(r.json, "secret title") && !slices.Contains(strings.Fields(insiders), as) {
				t.Errorf("%s: %s is told of another's instance: %s", r.route, as, w.Body)
			}
		}
		return w.Code, w.Body.String()
	}
	has := map[string]bool{}
	for _, r := range rights {
		has[r.route] = true
		begin()
		was := entries(t, st)
		for as := range comers {
			if r.may == "all" || slices.Contains(strings.Fields(r.may), as) {
				continue
			}
			if status, answer := use(r, as); status != http.StatusForbidden && status != http.StatusNotFound {
				t.Errorf("%s: %s is answered %d: %s", r.route, as, status, answer)
			}
		}
		if now := entries(t, st); fmt.Sprint(now) != fmt.Sprint(was) {
			t.Errorf("%s: who is refused has changed something:\n%v\n%v", r.route, was, now)
		}
		for as := range comers {
			if r.may != "all" && !slices.Contains(strings.Fields(r.may), as) {
				continue
			}
			if status, answer := use(r, as); status != http.StatusOK {
				t.Errorf("%s: %s is answered %d: %s", r.route, as, status, answer)
			}
			if r.query == "" && r.may != "all" {
				begin() // it may have changed what the next one finds
			}
		}
	}
	for _, route := range slices.Concat(legacy.Names(), rpc.Names(), otherRoutes(t)) {
		if !has[route] {
			t.Errorf("no row says who may use %s", route)
		}
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// otherRoutes are those that stand in the source by their paths.
func otherRoutes(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`"(?:GET |POST )?/((?:hateoas|hostler\.|Person_)[^" ]*)"( \+ TokenPath)?`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range path.FindAllStringSubmatch(string(text), -1) {
			route := found[1]
			if found[2] != "" {
				route += "Base_getComputerToken"
			}
			if route != "hateoas/" { // what they begin with
				all = append(all, route)
			}
		}
	}
	if len(all) < 10 {
		t.Fatalf("there are more routes than these: %q", all)
	}
	return all
}
