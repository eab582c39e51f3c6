package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// masterAnswers is a master that gives answers as they were recorded of the reference's, and keeps what it was asked.
type masterAnswers struct {
	url string

	mu    sync.Mutex
	asked []string // method, path and query, body
}

// slaposMaster starts one: answers are by path, and query where there is one, with a status before them where it is not 200.
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
	m.url = s.URL
	return m
}

// run runs a command line of slapos, with a file that names the master.
func (m *masterAnswers) run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.cfg")
	text := "[slapos]\nmaster_url = " + m.url + "\nmaster_rest_url = " + m.url + "/hateoas/\n[slapconsole]\nalias =\n  demo /srv/profiles/demo/software.cfg\n"
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
				t.Errorf("%s: %v", a, err)
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

// What the reference's client sent and the reference's master answered: captures node/ 003, 004, 028, 127 and not-ready/ 132.
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
		if code, out, errs := m.run(t, "supply", release, "COMP-LAB"); code != 0 || out != "" || errs != said {
			t.Errorf("supply %s: %d\n%s%s", release, code, out, errs)
		}
		m.asks(t, supplied)
	}
	if code, out, errs := m.run(t, "supply", "product.demo", "COMP-LAB", "-q"); code != 0 || out+errs != "" {
		t.Errorf("supply product.demo: %d\n%s%s", code, out, errs)
	}
	m.asks(t, "GET /getSoftwareReleaseListFromSoftwareProduct?software_product_reference=demo", supplied)
	if code, _, errs := m.run(t, "supply", "product.none", "COMP-LAB"); code != 1 || errs != "slapos: not found: the master knows no release of a product \"none\"\n" {
		t.Errorf("supply product.none: %d\n%s", code, errs)
	}
	m.asks(t, "GET /getSoftwareReleaseListFromSoftwareProduct?software_product_reference=none")
	if code, out, errs := m.run(t, "remove", demoURL, "COMP-LAB"); code != 0 || out != "" || errs != "INFO Requesting deletion of "+demoURL+" Software Release...\nINFO Done.\n" {
		t.Errorf("remove: %d\n%s%s", code, out, errs)
	}
	m.asks(t, removed)
	if code, out, errs := m.run(t, "remove", demoURL, "COMP-LAB", "--json"); code != 0 || errs != "" || out != "{\n  \"release\": \""+demoURL+"\",\n  \"computer\": \"COMP-LAB\",\n  \"state\": \"destroyed\"\n}\n" {
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
	if code, out, errs := m.run(t, words...); code != 0 || out != "" || errs != told("{}") {
		t.Errorf("request: %d\n%s%s", code, out, errs)
	}
	m.asks(t, requested)

	m = slaposMaster(t, map[string]string{"/requestComputerPartition": readyAnswer})
	if code, out, errs := m.run(t, words...); code != 0 || out != "" || errs != told("{'url': 'http://[2001:db8:77::2]:8080/'}") {
		t.Errorf("request again: %d\n%s%s", code, out, errs)
	}
	m.asks(t, requested)
	code, out, errs := m.run(t, append(words, "--json")...)
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
	if code, _, errs := m.run(t, words...); code != 2 || !strings.Contains(errs, "WARNING The instance is requested and not ready yet.") {
		t.Errorf("not ready: %d\n%s", code, errs)
	}
	if code, out, _ := m.run(t, append(words, "--json")...); code != 2 || !strings.Contains(out, `"ready": false`) {
		t.Errorf("not ready: %d\n%s", code, out)
	}
	m = slaposMaster(t, map[string]string{"/requestComputerPartition": noPartition})
	if code, _, errs := m.run(t, words...); code != 1 || !strings.Contains(errs, "slapos: no capacity: the master turned it down: No free computer partition found for: demo1\nhint: ") {
		t.Errorf("no place: %d\n%s", code, errs)
	}
	if code, _, errs := m.run(t, append(words, "--json")...); code != 1 || !strings.Contains(errs, `"kind":"no-capacity"`) {
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
	file("software.cfg.json", `{"serialisation":"json-in-xml","software-type":{"default":{"request":"in.json"},"plain":{"request":"in.json","serialisation":"xml"}}}`)
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
		{"--no-validate --parameters a=1 b=2 --node computer_guid=C network_guid=N", 0, "", "partition_parameter_xml", `<marshal><dictionary id="i2"><string>a</string><string>1</string><string>b</string><string>2</string></dictionary></marshal>`},
		{"--no-validate --parameters a=1 --node computer_guid=C network_guid=N", 0, "", "filter_xml", `<marshal><dictionary id="i2"><string>computer_guid</string><string>C</string><string>network_guid</string><string>N</string></dictionary></marshal>`},
		{"--parameters-file " + good, 0, "", "partition_parameter_xml", `<marshal><dictionary id="i2"><string>_</string><string>{"port": 80}</string></dictionary></marshal>`},
		{"--type plain --parameters_file " + good, 0, "", "partition_parameter_xml", `<marshal><dictionary id="i2"><string>port</string><int>80</int></dictionary></marshal>`},
		{"--force-serialisation xml --parameters-file " + good, 0, "", "partition_parameter_xml", `<marshal><dictionary id="i2"><string>port</string><int>80</int></dictionary></marshal>`},
		{"--parameters-file " + bad, 1, "parameters: /port: it is a text, and must be a whole number", "", ""},
		{"--parameters-file " + bad, 1, "hint: --no-validate", "", ""},
		{"--state destroyed --parameters-file " + bad, 0, "", "state", "<marshal><string>destroyed</string></marshal>"},
		{"--state stopped", 0, "", "partition_parameter_xml", `<marshal><dictionary id="i2"/></marshal>`},
		{"--slave --type x", 0, "", "shared_xml", "<marshal><bool>1</bool></marshal>"},
		{"--slave --type x", 0, "", "software_type", "x"},
		{"--parameters a=1 a=2", 2, `--parameters: "a" is given twice`, "", ""},
		{"--node a", 2, `--node: "a" is not KEY=VALUE`, "", ""},
		{"--state running", 2, "--state running: started, stopped or destroyed", "", ""},
		{"--force-serialisation yaml", 2, "--force-serialisation yaml: xml or json-in-xml", "", ""},
		{"--parameters a=1 --parameters-file " + good, 2, "parameters", "", ""},
		{"--parameters-file nothing.json", 2, "--parameters-file: nothing.json: no such file", "", ""},
	} {
		code, _, errs := m.run(t, append([]string{"request", "demo1", release}, strings.Fields(c.words)...)...)
		f := form()
		if code != c.code || !strings.Contains(errs, c.said) || (f != nil) != (code == 0) || c.field != "" && f.Get(c.field) != c.value {
			t.Errorf("%s: %d, %s: %s\n%s", c.words, code, c.field, f.Get(c.field), errs)
		}
	}
	file("in.json", `{"$ref":"nothing.json"}`)
	if code, _, errs := m.run(t, "request", "demo1", release, "--parameters", "a=1"); code != 0 || !strings.Contains(errs, "WARNING The parameters are not validated: ") {
		t.Errorf("a schema that cannot be loaded: %d\n%s", code, errs)
	}
}

func TestSlaposFailures(t *testing.T) {
	m := slaposMaster(t, map[string]string{"/supplySupply": "403\n<html><p>Not yours</p></html>"})
	if code, _, errs := m.run(t, "supply", "a", "b"); code != 1 || !strings.Contains(errs, "Not yours\nhint: cert_file and key_file say") {
		t.Errorf("denied: %d\n%s", code, errs)
	}
	m.url = "http://127.0.0.1:1"
	if code, _, errs := m.run(t, "supply", "a", "b"); code != 1 || !strings.Contains(errs, "hint: is master_url right, and does the master run?") {
		t.Errorf("unreachable: %d\n%s", code, errs)
	}
	m.url = "https://127.0.0.1:1"
	if code, _, errs := m.run(t, "supply", "a", "b"); code != 2 || !strings.Contains(errs, "client.cfg: key_file in [slapos] and cert_file are needed") {
		t.Errorf("no certificate: %d\n%s", code, errs)
	}
	if code, _, errs := m.run(t, "frobnicate"); code != 5 || !strings.Contains(errs, `unknown command "frobnicate"`) {
		t.Errorf("unknown: %d\n%s", code, errs)
	}
	if code, _, errs := m.run(t, "supply", "a"); code != 2 || !strings.Contains(errs, "something is missing: slapos supply URL NODE") {
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
		if got := strings.Join(spread(strings.Fields(given)), " "); got != want {
			t.Errorf("%s: %s", given, got)
		}
	}
}
