package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/cli/slaposcmd"
	"github.com/hostler-project/hostler/slapos/cfg"
)

// masterAnswers is a master that gives answers as they were recorded of the reference's, and keeps
// what it was asked.
type masterAnswers struct {
	Url string

	mu    sync.Mutex
	asked []string // method, path and query, body
}

// slaposMaster starts one: answers are by path, and query where there is one, with a status before
// them where it is not 200.
func slaposMaster(t *testing.T, answers map[string]string) *masterAnswers {
	t.Helper()
	m := &masterAnswers{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		m.mu.Lock()
		m.asked = append(m.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+body.String()))
		m.mu.Unlock()
		answer, ok := answers[r.URL.RequestURI()]
		if !ok {
			answer, ok = answers[r.URL.Path]
		}
		code := http.StatusOK
		if !ok {
			code = http.StatusNotFound
		}
		if n, _ := fmt.Sscanf(answer, "%d\n", &code); n == 1 {
			_, answer, _ = strings.Cut(answer, "\n")
		}
		if to, ok := strings.CutPrefix(answer, "Location: "); ok {
			w.Header().Set("Location", to)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(strings.ReplaceAll(answer, "http://127.0.0.1:15000", "http://"+r.Host)))
	}))
	t.Cleanup(s.Close)
	m.Url = s.URL
	return m
}

// Run runs a command line of slapos, with a file that names the master.
func (m *masterAnswers) Run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.cfg")
	text := "[slapos]\nmaster_url = " + m.Url + "\nmaster_rest_url = " + m.Url + "/hateoas/\n[slapconsole]\nalias =\n  demo /srv/profiles/demo/software.cfg\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLAPOS_CLIENT_CONFIGURATION", file)
	var o, e bytes.Buffer
	code = Main(append([]string{"slapos"}, args...), strings.NewReader(""), &o, &e)
	logged := regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d slapos\[\d+\] `)
	return code, o.String(), logged.ReplaceAllString(e.String(), "")
}

// asks compares what a master was asked, in order, as far as the forms mean the same.
func (m *masterAnswers) asks(t *testing.T, want ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	meant := func(asked []string) (out []any) {
		for _, a := range asked {
			words := strings.SplitN(a, " ", 3)
			if len(words) < 3 || strings.HasPrefix(words[2], "{") {
				out = append(out, a)
				continue
			}
			form, err := url.ParseQuery(words[2])
			if err != nil {
				t.Errorf("%s: err = %v; want no error", a, err)
			}
			out = append(out, words[:2], form)
		}
		return out
	}
	if diff := cmp.Diff(meant(want), meant(m.asked)); diff != "" {
		t.Errorf("the master was asked otherwise (-want +got):\n%s", diff)
	}
	m.asked = nil
}

// What the reference's client sent and the reference's master answered: captures node/ 003, 004,
// 028, 127 and not-ready/ 132.
const (
	supplied    = "POST /supplySupply url=%2Fsrv%2Fprofiles%2Fdemo%2Fsoftware.cfg&computer_id=COMP-LAB&state=available"
	removed     = "POST /supplySupply url=%2Fsrv%2Fprofiles%2Fdemo%2Fsoftware.cfg&computer_id=COMP-LAB&state=destroyed"
	requested   = "POST /requestComputerPartition software_release=%2Fsrv%2Fprofiles%2Fdemo%2Fsoftware.cfg&partition_reference=demo1&partition_parameter_xml=%3Cmarshal%3E%3Cdictionary+id%3D%22i2%22%3E%3Cstring%3Echild%3C%2Fstring%3E%3Cstring%3Eyes%3C%2Fstring%3E%3C%2Fdictionary%3E%3C%2Fmarshal%3E&filter_xml=%3Cmarshal%3E%3Cdictionary+id%3D%22i2%22%3E%3Cstring%3Ecomputer_guid%3C%2Fstring%3E%3Cstring%3ECOMP-LAB%3C%2Fstring%3E%3C%2Fdictionary%3E%3C%2Fmarshal%3E&software_type=default&state=%3Cmarshal%3E%3Cnone%2F%3E%3C%2Fmarshal%3E&shared_xml=%3Cmarshal%3E%3Cbool%3E0%3C%2Fbool%3E%3C%2Fmarshal%3E"
	madeAnswer  = `<marshal><object id="i2" module="slapos.slap.slap" class="SoftwareInstance"><tuple/><dictionary id="i3"><string>_connection_dict</string><dictionary id="i4"/><string>_instance_guid</string><string>COMP-LAB-slappart0</string><string>_parameter_dict</string><dictionary id="i5"><string>child</string><string>yes</string><string>timestamp</string><string>1795158671.4143586</string></dictionary><string>_requested_state</string><string>started</string><string>connection_xml</string><none/><string>ip_list</string><list id="i6"><tuple><string>slaptap0</string><string>10.0.17.165</string></tuple><tuple><string>slaptap0</string><string>2001:db8:77::2</string></tuple></list><string>slap_computer_id</string><string>COMP-LAB</string><string>slap_computer_partition_id</string><string>slappart0</string><string>slap_server_url</string><string>slap_server_url</string><string>slap_software_release_url</string><string>/srv/profiles/demo/software.cfg</string><string>slap_software_type</string><string>default</string></dictionary></object></marshal>`
	connected   = `<string>_connection_dict</string><dictionary id="i4"><string>url</string><string>http://[2001:db8:77::2]:8080/</string></dictionary>`
	notReadyYet = "408\n<!doctype html>\n<html lang=en>\n<title>408 Request Timeout</title>\n<h1>Request Timeout</h1>\n<p>Resource not ready</p>\n"
	noPartition = "404\n<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>No free computer partition found for: demo1</p>\n"
	demoURL     = "/srv/profiles/demo/software.cfg"
)

var readyAnswer = strings.Replace(madeAnswer, `<string>_connection_dict</string><dictionary id="i4"/>`, connected, 1)

func TestSlaposSupply(t *testing.T) {
	m := slaposMaster(t, map[string]string{"/supplySupply": "Supplied '" + demoURL + "' to be available",
		"/getSoftwareReleaseListFromSoftwareProduct?software_product_reference=demo": `<marshal><list id="i2"><string>` + demoURL + `</string><string>/older</string></list></marshal>`,
		"/getSoftwareReleaseListFromSoftwareProduct":                                 `<marshal><list id="i2"/></marshal>`})
	said := "INFO Requesting software installation of " + demoURL + "...\nINFO Done.\n"
	for _, release := range []string{demoURL, "demo"} {
		if code, out, errs := m.Run(t, "supply", release, "COMP-LAB"); code != 0 || out != "" || errs != said {
			t.Errorf("supply %s: %d\n%s%s", release, code, out, errs)
		}
		m.asks(t, supplied)
	}
	if code, out, errs := m.Run(t, "supply", "product.demo", "COMP-LAB", "-q"); code != 0 || out+errs != "" {
		t.Errorf("supply product.demo: %d\n%s%s", code, out, errs)
	}
	m.asks(t, "GET /getSoftwareReleaseListFromSoftwareProduct?software_product_reference=demo", supplied)
	if code, _, errs := m.Run(t, "supply", "product.none", "COMP-LAB"); code != 1 ||
		errs != "slapos: not found: the master knows no release of a product \"none\"\n" {
		t.Errorf("supply product.none: %d\n%s", code, errs)
	}
	m.asks(t, "GET /getSoftwareReleaseListFromSoftwareProduct?software_product_reference=none")
	if code, out, errs := m.Run(t, "remove", demoURL, "COMP-LAB"); code != 0 || out != "" ||
		errs != "INFO Requesting deletion of "+demoURL+" Software Release...\nINFO Done.\n" {
		t.Errorf("remove: %d\n%s%s", code, out, errs)
	}
	m.asks(t, removed)
	if code, out, errs := m.Run(t, "remove", demoURL, "COMP-LAB", "--json"); code != 0 || errs != "" ||
		out != "{\n  \"release\": \""+demoURL+"\",\n  \"computer\": \"COMP-LAB\",\n  \"state\": \"destroyed\"\n}\n" {
		t.Errorf("remove --json: %d\n%s%s", code, out, errs)
	}
}

func TestSlaposRequest(t *testing.T) {
	m := slaposMaster(t, map[string]string{"/requestComputerPartition": madeAnswer})
	began := "INFO Validating request parameters for demo1 as an instance of " + demoURL + " ...\nINFO Requesting demo1 as an instance of " + demoURL + " ...\n"
	told := func(connection string) string {
		return began + "INFO Instance requested.\nState is : started.\nINFO Connection parameters of instance are:\nINFO " + connection + "\nINFO You can rerun the command to get up-to-date information.\n"
	}
	words := []string{"request", "demo1", demoURL, "--node", "computer_guid=COMP-LAB", "--parameters", "child=yes"}
	if code, out, errs := m.Run(t, words...); code != 0 || out != "" || errs != told("{}") {
		t.Errorf("request: %d\n%s%s", code, out, errs)
	}
	m.asks(t, requested)

	m = slaposMaster(t, map[string]string{"/requestComputerPartition": readyAnswer})
	if code, out, errs := m.Run(t, words...); code != 0 || out != "" || errs != told("{'url': 'http://[2001:db8:77::2]:8080/'}") {
		t.Errorf("request again: %d\n%s%s", code, out, errs)
	}
	m.asks(t, requested)
	code, out, errs := m.Run(t, append(words, "--json")...)
	want := `{
  "title": "demo1",
  "release": "/srv/profiles/demo/software.cfg",
  "type": "default",
  "shared": false,
  "ready": true,
  "state": "started",
  "computer": "COMP-LAB",
  "partition": "slappart0",
  "connection": {
    "url": "http://[2001:db8:77::2]:8080/"
  }
}
`
	if code != 0 || out != want || errs != "" {
		t.Errorf("request --json: %d\n%s%s", code, out, errs)
	}

	m = slaposMaster(t, map[string]string{"/requestComputerPartition": notReadyYet})
	if code, _, errs := m.Run(t, words...); code != 2 || !strings.Contains(errs, "WARNING The instance is requested and not ready yet.") {
		t.Errorf("not ready: %d\n%s", code, errs)
	}
	if code, out, _ := m.Run(t, append(words, "--json")...); code != 2 || !strings.Contains(out, `"ready": false`) {
		t.Errorf("not ready: %d\n%s", code, out)
	}
	m = slaposMaster(t, map[string]string{"/requestComputerPartition": noPartition})
	if code, _, errs := m.Run(t, words...); code != 1 ||
		!strings.Contains(errs, "slapos: no capacity: the master turned it down: No free computer partition found for: demo1\nhint: ") {
		t.Errorf("no place: %d\n%s", code, errs)
	}
	if code, _, errs := m.Run(t, append(words, "--json")...); code != 1 || !strings.Contains(errs, `"kind":"no-capacity"`) {
		t.Errorf("no place: %d\n%s", code, errs)
	}
}

func TestSlaposRequestWords(t *testing.T) {
	m := slaposMaster(t, map[string]string{"/requestComputerPartition": madeAnswer})
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	release := file("software.cfg", "")
	file(
		"software.cfg.json",
		`{"serialisation":"json-in-xml","software-type":{"default":{"request":"in.json"},"plain":{"request":"in.json","serialisation":"xml"}}}`,
	)
	file("in.json", `{"properties":{"port":{"type":"integer"}},"additionalProperties":false}`)
	good, bad := file("good.json", `{"port":80}`), file("bad.yaml", "port: eighty\n")
	form := func() url.Values {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.asked) == 0 {
			return nil
		}
		f, _ := url.ParseQuery(strings.SplitN(m.asked[len(m.asked)-1], " ", 3)[2])
		m.asked = nil
		return f
	}
	for _, c := range []struct {
		words string
		code  int
		said  string // in standard error
		field string // of the form
		value string
	}{
		{"--parameters a=1 b=2 --node computer_guid=C network_guid=N", 1, `"a" is not known here`, "", ""},
		{
			"--no-validate --parameters a=1 b=2 --node computer_guid=C network_guid=N", 0, "", "partition_parameter_xml",
			`<marshal><dictionary id="i2"><string>a</string><string>1</string><string>b</string><string>2</string></dictionary></marshal>`,
		},
		{
			"--no-validate --parameters a=1 --node computer_guid=C network_guid=N", 0, "", "filter_xml",
			`<marshal><dictionary id="i2"><string>computer_guid</string><string>C</string><string>network_guid</string><string>N</string></dictionary></marshal>`,
		},
		{
			"--parameters-file " + good, 0, "", "partition_parameter_xml",
			`<marshal><dictionary id="i2"><string>_</string><string>{"port": 80}</string></dictionary></marshal>`,
		},
		{
			"--type plain --parameters_file " + good, 0, "", "partition_parameter_xml",
			`<marshal><dictionary id="i2"><string>port</string><int>80</int></dictionary></marshal>`,
		},
		{
			"--force-serialisation xml --parameters-file " + good, 0, "", "partition_parameter_xml",
			`<marshal><dictionary id="i2"><string>port</string><int>80</int></dictionary></marshal>`,
		},
		{"--parameters-file " + bad, 1, "parameters: /port: it is a text, and must be a whole number", "", ""},
		{"--parameters-file " + bad, 1, "hint: --no-validate", "", ""},
		{"--state destroyed --parameters-file " + bad, 0, "", "state", "<marshal><string>destroyed</string></marshal>"},
		{"--state stopped", 0, "", "partition_parameter_xml", `<marshal><dictionary id="i2"/></marshal>`},
		{"--slave --type x", 0, "", "shared_xml", "<marshal><bool>1</bool></marshal>"},
		{"--slave --type x", 0, "", "software_type", "x"},
		{"--slave --type x", 0, `has no shared type "x"; it has default, plain`, "", ""},
		{"--type plain --state stopped", 0, "", "", ""},
		{"--parameters a=1 a=2", 2, `--parameters: "a" is given twice`, "", ""},
		{"--node a", 2, `--node: "a" is not KEY=VALUE`, "", ""},
		{"--parameters-file " + file("foo.xml", "<foo/>"), 2, "its root element is <foo>", "", ""},
		{"--state running", 2, "--state running: started, stopped or destroyed", "", ""},
		{"--force-serialisation yaml", 2, "--force-serialisation yaml: xml or json-in-xml", "", ""},
		{"--parameters a=1 --parameters-file " + good, 2, "parameters", "", ""},
		{"--parameters-file nothing.json", 2, "--parameters-file: nothing.json: no such file", "", ""},
	} {
		code, _, errs := m.Run(t, append([]string{"request", "demo1", release}, strings.Fields(c.words)...)...)
		f := form()
		if code != c.code || !strings.Contains(errs, c.said) || (f != nil) != (code == 0) || c.field != "" && f.Get(c.field) != c.value {
			t.Errorf(
				"%s: code = %d, c.field = %s: f.Get(c.field) = %s\nerrs = %s"+
					"; want code == c.code and errs with c.said and (f != nil) == (code == 0) and (c.field == "+
					`"" or f.Get(c.field) == c.value)`,
				c.words, code, c.field, f.Get(c.field), errs,
			)
		}
	}
	file("in.json", `{"$ref":"nothing.json"}`)
	if code, _, errs := m.Run(t, "request", "demo1", release, "--parameters", "a=1"); code != 0 ||
		!strings.Contains(errs, "WARNING The parameters are not validated: ") {
		t.Errorf("a schema that cannot be loaded: %d\n%s", code, errs)
	}
}

func TestSlaposFailures(t *testing.T) {
	m := slaposMaster(t, map[string]string{"/supplySupply": "403\n<html><p>Not yours</p></html>"})
	if code, _, errs := m.Run(t, "supply", "a", "b"); code != 1 || !strings.Contains(errs, "Not yours\nhint: cert_file and key_file say") {
		t.Errorf("denied: %d\n%s", code, errs)
	}
	m.Url = "http://127.0.0.1:1"
	if code, _, errs := m.Run(t, "supply", "a", "b"); code != 1 ||
		!strings.Contains(errs, "hint: is master_url right, and does the master run?") {
		t.Errorf("unreachable: %d\n%s", code, errs)
	}
	m.Url = "https://127.0.0.1:1"
	if code, _, errs := m.Run(t, "supply", "a", "b"); code != 2 ||
		!strings.Contains(errs, "client.cfg: key_file in [slapos] and cert_file are needed") {
		t.Errorf("no certificate: %d\n%s", code, errs)
	}
	if code, _, errs := m.Run(t, "frobnicate"); code != 5 || !strings.Contains(errs, `unknown command "frobnicate"`) {
		t.Errorf("unknown: %d\n%s", code, errs)
	}
	if code, _, errs := m.Run(t, "supply", "a"); code != 2 || !strings.Contains(errs, "supply: which NODE? slapos supply URL NODE") {
		t.Errorf("too few: %d\n%s", code, errs)
	}
}

func TestSlaposSpread(t *testing.T) {
	for given, want := range map[string]string{
		"slapos request a b --node x=1 y=2 --slave":             "slapos request a b --node x=1 --node y=2 --slave",
		"-C dir --json slapos request a b --parameters x=1 y=2": "-C dir --json slapos request a b --parameters x=1 --parameters y=2",
		"slapos request a b --node=x=1 y=2 --type t z":          "slapos request a b --node=x=1 --node y=2 --type t z",
		"slapos request a b --node x=1 --parameters y=2 z=3":    "slapos request a b --node x=1 --parameters y=2 --parameters z=3",
		"slapos request --parameters x=1 -- a b":                "slapos request --parameters x=1 -- a b",
		"run web -- slapos request --parameters a=1 b=2":        "run web -- slapos request --parameters a=1 b=2",
		"run slapos request --parameters a=1 b=2":               "run slapos request --parameters a=1 b=2",
		"slapos supply a --node b c":                            "slapos supply a --node b c",
		"__complete slapos request a b --node x=1 y=2 --node ":  "__complete slapos request a b --node x=1 --node y=2 --node",
	} {
		if got := strings.Join(slaposcmd.Spread(strings.Fields(given)), " "); got != want {
			t.Errorf("%s: got = %s; want got == want", given, got)
		}
	}
}

// What the reference's master answered to its client's searches: captures node/ 029 to 040.
var hypermediaAnswers = map[string]string{
	"/hateoas/": `{"_links":{"raw_search":{"href":"http://127.0.0.1:15000/hateoas/?mode=search&query={query}&select_list={select_list}"},"traverse":{"href":"http://127.0.0.1:15000/hateoas/?mode=traverse&relative_url={relative_url}&view={view}"}}}`,
	"/hateoas/?mode=search&query=portal_type%3A%22Instance%20Tree%22%20AND%20validation_state%3Avalidated&select_list=title,url_string":                                  `{"_embedded":{"contents":[{"relative_url":"/hateoas/partitions/demo1","title":"demo1","url_string":"/srv/profiles/demo/software.cfg"}]}}`,
	"/hateoas/?mode=search&query=portal_type%3A%22Instance%20Tree%22%20AND%20validation_state%3Avalidated%20AND%20title%3A%3D%22demo1%22&select_list=title,relative_url": `{"_embedded":{"contents":[{"relative_url":"/hateoas/partitions/demo1","title":"demo1"}]}}`,
	"/hateoas/?mode=search&query=portal_type%3A%22Instance%20Tree%22%20AND%20validation_state%3Avalidated%20AND%20title%3A%3D%22none%22&select_list=title,relative_url":  `{"_embedded":{"contents":[]}}`,
	"/hateoas/?mode=traverse&relative_url=%2Fhateoas%2Fpartitions%2Fdemo1&view=slaposjs_view":                                                                            "302\nLocation: /hateoas/partitions/demo1",
	"/hateoas/partitions/demo1": `{"_embedded":{"_view":{"form_id":{"default":"InstanceTree_viewAsHateoas","key":"form_id","type":"StringField"},"my_connection_parameter_list":{"default":"<?xml version='1.0' encoding='utf-8'?>\n<instance>\n  <parameter id=\"url\">http://[2001:db8:77::2]:8080/</parameter>\n</instance>\n","key":"field_my_connection_parameter_list","type":"StringField"},"my_reference":{"default":"demo1","key":"field_my_reference","type":"StringField"},"my_root_slave":{"default":0,"key":"field_my_root_slave","type":"IntegerField"},"my_slap_state":{"default":"started","key":"field_my_slap_state","type":"StringField"},"my_source_reference":{"default":"default","key":"field_my_source_reference","type":"StringField"},"my_text_content":{"default":"<?xml version='1.0' encoding='utf-8'?>\n<instance>\n  <parameter id=\"child\">yes</parameter>\n</instance>\n","key":"field_my_text_content","type":"StringField"},"my_url_string":{"default":"/srv/profiles/demo/software.cfg","key":"field_my_url_string","type":"StringField"}}},"_links":{"type":{"name":"Instance Tree"}}}`,
	"/hateoas/?mode=search&query=portal_type%3A%22Compute%20Node%22%20AND%20validation_state%3Avalidated&select_list=title,reference":                                              `{"_embedded":{"contents":[{"reference":"COMP-LAB","relative_url":"/hateoas/computers/COMP-LAB","title":"COMP-LAB"}]}}`,
	"/hateoas/?mode=search&query=portal_type%3A%22Compute%20Node%22%20AND%20validation_state%3Avalidated%20AND%20reference%3A%3D%22COMP-LAB%22&select_list=reference,relative_url": `{"_embedded":{"contents":[{"reference":"COMP-LAB","relative_url":"/hateoas/computers/COMP-LAB","title":"COMP-LAB"}]}}`,
	"/hateoas/?mode=search&query=portal_type%3A%22Compute%20Node%22%20AND%20validation_state%3Avalidated%20AND%20reference%3A%3D%22none%22&select_list=reference,relative_url":     `{"_embedded":{"contents":[]}}`,
	"/hateoas/?mode=traverse&relative_url=%2Fhateoas%2Fcomputers%2FCOMP-LAB&view=slaposjs_view":                                                                                    "302\nLocation: /hateoas/computers/COMP-LAB",
	"/hateoas/computers/COMP-LAB":                    `{"_embedded":{"_view":{"form_id":{"default":"COMP-LAB","key":"computer","type":"StringField"},"my_reference":{"default":"COMP-LAB","key":"reference","type":"StringField"},"my_title":{"default":"COMP-LAB","key":"reference","type":"StringField"}}},"_links":{"type":{"name":"Computer"}}}`,
	"/slapos.allDocs.v0.compute_node_instance_list":  `{"result_list":[{"title":"demo1","instance_guid":"x","state":"started","compute_partition_id":"slappart0","software_release_uri":"/srv/profiles/demo/software.cfg"}]}`,
	"/hateoas/computer_module/Base_getComputerToken": `{"access_token": "T0KEN"}`,
	// A master that is not ours passes the name over.
	"/hateoas/computer_module/Base_getComputerToken?computer_guid=COMP-LAB": `{"access_token": "T0KEN"}`,
}

func TestSlaposLooks(t *testing.T) {
	m := slaposMaster(t, hypermediaAnswers)
	for _, c := range []struct {
		words, out string
		code       int
		errs       string
	}{
		{"service list", "{\n  \"demo1\": \"/srv/profiles/demo/software.cfg\"\n}\n", 0, ""},
		{"service list --json", "[\n  {\n    \"title\": \"demo1\",\n    \"release\": \"/srv/profiles/demo/software.cfg\"\n  }\n]\n", 0, ""},
		{"service info demo1", `{
  "software-url": "/srv/profiles/demo/software.cfg",
  "software-type": "default",
  "shared": false,
  "requested-state": "started",
  "instance-parameters": {
    "child": "yes"
  },
  "connection-parameters": {
    "url": "http://[2001:db8:77::2]:8080/"
  },
  "status": "unsupported"
}
`, 0, ""},
		{"service info none", "", 2, "slapos: not found: the master knows no service \"none\"\nhint: slapos service list shows all\n"},
		{"computer list", "List of Computers:\nCOMP-LAB COMP-LAB\n", 0, ""},
		{
			"computer info COMP-LAB",
			"Reference: COMP-LAB\nTitle: COMP-LAB\nPartition: slappart0 started /srv/profiles/demo/software.cfg demo1\n",
			0, "",
		},
		{"computer info none", "", 2, "slapos: not found: the master knows no computer \"none\"\nhint: slapos computer list shows all\n"},
		{"computer token", "T0KEN\n", 0, ""},
		{
			"computer token COMP-LAB", "", 1,
			"slapos: this master gives no tokens for computers that there are already\nhint: its administrator, or generateComputerCertificate, gives another certificate\n",
		},
		{"service frobnicate", "", 5, "slapos: slapos service has no command \"frobnicate\": it has info, list\n"},
	} {
		if code, out, errs := m.Run(t, strings.Fields(c.words)...); code != c.code || out != c.out || errs != c.errs {
			t.Errorf(
				"%s: code = %d\nout = %serrs = %s"+
					"; want code == c.code and out == c.out and errs == c.errs",
				c.words, code, out, errs,
			)
		}
	}
	told := map[string]string{"/slapos.get.v0.instance_tree": `{"title":"demo1","access_status_message":"#error it burns"}`}
	for path, answer := range hypermediaAnswers {
		told[path] = answer
	}
	m = slaposMaster(t, told)
	if code, out, errs := m.Run(t, "service", "info", "demo1", "--news"); code != 0 ||
		!strings.Contains(out, "\"status\": \"red\",\n  \"error\": \"it burns\",\n  \"news\": [\n    \"#error it burns\"\n  ]") {
		t.Errorf("service info --news: %d\n%s%s", code, out, errs)
	}
	if code, out, errs := m.Run(t, "service", "info", "demo1", "--json"); code != 0 ||
		!strings.Contains(out, "\"title\": \"demo1\",\n  \"release\"") || strings.Contains(out, "news") {
		t.Errorf("service info --json: %d\n%s%s", code, out, errs)
	}
}

// certified is a certificate of a computer, with its key, as a master's web side answers it.
func certified(t *testing.T, name string) (answer, certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = string(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
	text, _ := json.Marshal(map[string]string{"certificate": certificate, "key": key})
	return string(text), certificate, key
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestSlaposConfigureClient(t *testing.T) {
	answer, certificate, key := certified(t, "me")
	m := slaposMaster(t, map[string]string{"/Person_getCertificate": answer})
	file := filepath.Join(t.TempDir(), "a%b", "client.cfg")
	words := []string{
		"configure", "client", "--cfg", file, "--master-url", "https://slap.example.com", "--master-url-web", m.Url,
		"--token", "T0KEN",
	}
	if code, out, errs := m.Run(t, words...); code != 0 || out != "" || strings.Contains(errs, "T0KEN") {
		t.Fatalf("code = %d\nout = %serrs = %s; want code == 0 and out == \"\" and errs without \"T0KEN\"", code, out, errs)
	}
	if content(t, filepath.Dir(file)+"/client.crt") != certificate || content(t, filepath.Dir(file)+"/client.key") != key {
		t.Error("other files")
	}
	for _, name := range []string{"client.key", "client.cfg"} {
		if info, err := os.Stat(filepath.Join(filepath.Dir(file), name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: err = %v; want no error and info.Mode().Perm() == 0o600", name, err)
		}
	}
	f, err := cfg.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := f.Client(); err != nil || c.Master != "https://slap.example.com" || c.KeyFile != filepath.Dir(file)+"/client.key" {
		t.Errorf(
			"c = %+v, err = %v"+
				`; want no error and c.Master == "https://slap.example.com" and c.KeyFile == `+
				`filepath.Dir(file)+"/client.key"`,
			c, err,
		)
	}
	before := content(t, file)
	if code, _, errs := m.Run(t, words...); code != 1 || !strings.Contains(errs, "is there already") || content(t, file) != before {
		t.Errorf("again: %d\n%s", code, errs)
	}
	m = slaposMaster(t, map[string]string{"/Person_getCertificate": "401\n"})
	words[3], words[7] = filepath.Join(t.TempDir(), "client.cfg"), m.Url
	if code, _, errs := m.Run(t, words...); code != 1 || !strings.Contains(errs, "hint: a token is good for once") ||
		strings.Contains(errs, "T0KEN") {
		t.Errorf("denied: %d\n%s", code, errs)
	}
	if _, err := os.Stat(words[3]); err == nil {
		t.Error("a file without a certificate")
	}
}

func TestSlaposNodeRegister(t *testing.T) {
	answer, certificate, key := certified(t, "COMP-42")
	m := slaposMaster(t, map[string]string{"/Person_requestComputer": answer})
	dir := filepath.Join(t.TempDir(), "slapos")
	words := []string{
		"node", "register", "build one", "--cfg", dir + "/slapos.cfg", "--interface-name", "eth0", "--master-url",
		"https://slap.example.com", "--master-url-web", m.Url, "--token", "T0KEN",
	}
	if code, out, errs := m.Run(t, append(words, "--dry-run")...); code != 0 || !strings.Contains(out, "interface_name = eth0\n") {
		t.Errorf("--dry-run: %d\n%s%s", code, out, errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("--dry-run has written")
	}
	if code, out, errs := m.Run(t, words...); code != 0 || out != "" || !strings.Contains(errs, "This machine is COMP-42.") {
		t.Fatalf(
			"code = %d\nout = %serrs = %s"+
				`; want code == 0 and out == "" and errs with "This machine is COMP-42."`,
			code, out, errs,
		)
	}
	m.asks(t, "POST /Person_requestComputer title=build+one")
	if content(t, dir+"/ssl/certificate") != certificate || content(t, dir+"/ssl/key") != key {
		t.Error("other files")
	}
	f, err := cfg.Read(dir + "/slapos.cfg")
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := f.Text("slapos", "computer_id"); id != "COMP-42" || len(f.Unknown()) > 0 {
		t.Errorf(`id = %s, f.Unknown() = %v; want id == "COMP-42" and len(f.Unknown()) <= 0`, id, f.Unknown())
	}
	for _, want := range []string{dir + ".old", dir + ".old.1"} {
		if code, out, errs := m.Run(t, append(words, "--json")...); code != 0 ||
			!strings.Contains(out, `"moved": "`+want+`"`) || content(t, want+"/ssl/key") != key {
			t.Errorf("again: %d\n%s%s", code, out, errs)
		}
	}
}

func TestSlaposConsole(t *testing.T) {
	m := slaposMaster(t, map[string]string{"/supplySupply": "", "/requestComputerPartition": readyAnswer})
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	code, out, errs := m.Run(t, "console", script(`# what the reference's client sent, too
supply(demo, "COMP-LAB")
d = request(demo, 'demo1', {'child': 'yes'},
            filter_kw={'computer_guid': 'COMP-LAB'})
d
d.getState()
d.getConnectionParameterDict()
d.getConnectionParameter('url')
`))
	want := "<instance in slappart0 of COMP-LAB, started>\n'started'\n{'url': 'http://[2001:db8:77::2]:8080/'}\n'http://[2001:db8:77::2]:8080/'\n"
	if code != 0 || out != want || errs != "" {
		t.Errorf("code = %d\nout = %serrs = %s; want code == 0 and out == want and errs == \"\"", code, out, errs)
	}
	m.asks(t, supplied, requested)
	path := script("import sys\nsys.argv\nsys.argv[2]\nsys.path\n")
	if code, out, errs := m.Run(t, "console", "-p", path, "COMP-1", "--json", "-v"); code != 1 ||
		out != "['"+path+"', 'COMP-1', '--json', '-v']\n'--json'\n" || !strings.Contains(errs, "line 4: sys has no path") {
		t.Errorf("arguments: %d\n%s%s", code, out, errs)
	}
	if code, out, errs := m.Run(t, "console", script("help()\n")); code != 0 || !strings.Contains(out, "\nrequest(software_release, ") {
		t.Errorf("help: %d\n%s%s", code, out, errs)
	}
	for text, want := range map[string]string{
		"\nimport os\n": "line 2: ", "supply(demo)\n": "supply: computer_guid is missing", "f(": "there is no f",
		"request(demo, 'a', shared=1)": "shared is True or False", "request(demo,": "not finished",
		"print(1, end='')": "values alone",
	} {
		if code, _, errs := m.Run(t, "console", script(text)); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: code = %d\nerrs = %s; want code == 1 and errs with want", text, code, errs)
		}
	}
}
