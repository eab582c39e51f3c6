package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/enrol"
	"github.com/hostler-project/hostler/slapos/proto"
)

// slaposYard is a controller that is a master, by TLS with certificates of its own authority.
type slaposYard struct {
	*yard
	k     *watchedController
	ca    *authority.Authority
	roots *x509.CertPool
	at    string // its URL
	admin string // a token
}

// ownCertificate makes an authority in a directory, and the files of a certificate of its for
// 127.0.0.1.
func ownCertificate(t *testing.T) (ca *authority.Authority, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	ca, err := authority.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	shown, err := ca.TLS(nil, []string{"127.0.0.1"}).GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(shown.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, block *pem.Block) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return ca, write("own.crt", &pem.Block{Type: "CERTIFICATE", Bytes: shown.Certificate[0]}),
		write("own.key", &pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func newSlaposYard(t *testing.T, files map[string]string) *slaposYard {
	t.Helper()
	ca, cert, key := ownCertificate(t)
	files["sources/web/source.conf"] = "type = fake\n"
	files["hostler.conf"] = strings.ReplaceAll(files["hostler.conf"], "CA", filepath.Dir(ca.File))
	y := &slaposYard{yard: newYard(t, files), ca: ca, roots: x509.NewCertPool()}
	y.k = y.Serve("--no-fill", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	y.at = "https://" + y.k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	secret, err := os.ReadFile(filepath.Join(y.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	y.admin = strings.TrimSpace(string(secret))
	public, err := os.ReadFile(ca.File)
	if err != nil || !y.roots.AppendCertsFromPEM(public) {
		t.Fatal(err)
	}
	return y
}

// ask makes a request, with a certificate or a token or neither.
func (y *slaposYard) ask(show *proto.Certificate, token, method, path string, form url.Values) (int, string) {
	y.t.Helper()
	config := &tls.Config{RootCAs: y.roots}
	if show != nil {
		pair, err := tls.X509KeyPair([]byte(show.Certificate), []byte(show.Key))
		if err != nil {
			y.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(y.t.Context(), method, y.at+path, strings.NewReader(form.Encode()))
	if err != nil {
		y.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(api.ReasonHeader, "because")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := c.Do(r)
	if err != nil {
		y.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		y.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// A project's users come to certificates by their tokens, have no more than the project's quota,
// and are nobody once they are put out of it. Who did what is in the audit log, and how much there
// is in the figures.
func TestSlaposProjects(t *testing.T) {
	project := "[members]\nann = user\nvic = viewer\n[quota]\npartitions = 1\n"
	y := newSlaposYard(t, map[string]string{
		"hostler.conf":              "[slap]\nca-directory = CA\ncomputer = COMP-1\nsoftware-products = demo https://s.example/demo.cfg, kvm https://s.example/kvm.cfg\n[multimaster http://127.0.0.1:9/]\nsoftware-release-list = https://s.example/far.cfg\n",
		"projects/web/project.conf": project,
	})
	at := "--controller=unix:" + filepath.Join(y.Dir, "run", "hostler", "controller.sock")
	token := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(y.run(append([]string{at, "-q", "token", "create"}, args...)...))
	}
	web := func(token string) *enrol.Web {
		return &enrol.Web{URL: y.at + "/slapos", Token: token, HTTP: enrol.Client(&tls.Config{RootCAs: y.roots})}
	}
	annToken := token("--owner", "ann", "--name", "ann's")
	ann, err := web(annToken).Person(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, limited := range map[string]string{
		"some permissions": token("--owner", "ann", "--permission", "use,see,tokens"),
		"a lower role":     token("--owner", "ann", "--role", "viewer"), "a viewer": token("--owner", "vic"),
		"a guess": "hst_guess",
	} {
		if _, err := web(limited).Person(t.Context()); err == nil {
			t.Errorf("%s: a certificate", what)
		}
	}
	if _, guid, err := web(annToken).Computer(t.Context(), "build1"); err != nil || !strings.HasPrefix(guid, "COMP-") {
		t.Errorf(`guid = %v, err = %v; want no error and strings.HasPrefix(guid, "COMP-")`, guid, err)
	}
	xml, err := proto.Marshal(proto.Dictionary{"reference": "COMP-1", "address": "", "netmask": "", "partition_list": proto.List{
		proto.Dictionary{"reference": "p0", "tap": proto.Dictionary{"name": "t"}, "address_list": proto.List{}},
		proto.Dictionary{"reference": "p1", "tap": proto.Dictionary{"name": "t"}, "address_list": proto.List{}}}})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := y.ask(
		nil, y.admin, http.MethodPost, "/slapos/loadComputerConfigurationFromXML", url.Values{"xml": {string(xml)}},
	); status != http.StatusOK {
		t.Fatalf("status = %v, body = %v; want status == http.StatusOK", status, body)
	}
	request := func(title, release string) url.Values {
		return url.Values{
			"software_release": {release}, "software_type": {"default"}, "partition_reference": {title},
			"state": {"<marshal><none/></marshal>"},
		}
	}
	const ask = "/slapos/requestComputerPartition"
	for _, c := range []struct {
		what, token    string
		show           *proto.Certificate
		title, release string
		status         int
		said           string
	}{
		{"by certificate", "", ann, "one", "u", http.StatusOK, "slap_computer_partition_id"},
		{"the same by token", annToken, nil, "one", "u", http.StatusOK, "slap_computer_partition_id"},
		{"over the quota", "", ann, "two", "u", http.StatusNotFound, "the project web has 1 of 1 partitions"},
		{"the administrator, who is in no project", y.admin, nil, "two", "u", http.StatusOK, "slap_computer_partition_id"},
		{"nobody", "", nil, "three", "u", http.StatusForbidden, ""},
		{"to a master that is not there", "", ann, "far", "https://s.example/far.cfg", http.StatusServiceUnavailable, ""},
	} {
		if status, body := y.ask(
			c.show, c.token, http.MethodPost, ask, request(c.title, c.release),
		); status != c.status || !strings.Contains(body, c.said) {
			t.Errorf("%s: status = %d body = %s; want status == c.status and body with c.said", c.what, status, body)
		}
	}
	// Who may only see gets by GET neither a token for a computer nor the key of an instance.
	only := token("--owner", "ann", "--role", "viewer")
	for path, sees := range map[string]bool{"getComputerPartitionCertificate?computer_id=COMP-1&computer_partition_id=p0": false,
		"hateoas/computer_module/Base_getComputerToken":                                       false,
		"registerComputerPartition?computer_reference=COMP-1&computer_partition_reference=p0": true} {
		for who, want := range map[string]int{
			annToken: http.StatusOK, only: map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[sees],
		} {
			if status, body := y.ask(nil, who, http.MethodGet, "/slapos/"+path, nil); status != want {
				t.Errorf("%s: %d %.200s; want %d", path, status, body, want)
			}
		}
	}
	if _, body := y.ask(
		ann, "", http.MethodGet, "/slapos/getSoftwareReleaseListFromSoftwareProduct?software_product_reference=kvm", nil,
	); !strings.Contains(body, "https://s.example/kvm.cfg") {
		t.Error(body)
	}
	if _, body := y.ask(nil, y.admin, http.MethodGet, "/metrics", nil); !strings.Contains(
		body, `hostler_slapos_partitions{state="busy"} 2`,
	) ||
		!strings.Contains(body, `hostler_slapos_waiting_instances 1`) ||
		!strings.Contains(body, `hostler_api_requests_total{method="POST",route="/slapos/requestComputerPartition",status="200"} 3`) {
		t.Error(body)
	}

	// The audit log is written a moment later.
	want := map[string]bool{"ann one done": true, "ann two no-capacity": true, " - denied": true, "ann build1 done": true}
	for end := time.Now().Add(time.Minute); len(want) > 0 && time.Now().Before(end); {
		_, body := y.ask(nil, y.admin, http.MethodGet, "/v1/audit?limit=1000", nil)
		var log struct {
			Acts []api.Act `json:"acts"`
		}
		if err := json.Unmarshal([]byte(body), &log); err != nil {
			t.Fatalf("body = %v, err = %v; want no error", body, err)
		}
		for _, a := range log.Acts {
			if a.Who != "" && a.Reason != "because" && strings.HasPrefix(a.Act, "slapos.request") {
				t.Errorf(`a = %+v; want a.Who == "" or a.Reason == "because" or !strings.HasPrefix(a.Act, "slapos.request")`, a)
			}
			delete(want, a.Who+" "+strings.Fields(a.Thing + " -")[0]+" "+a.Outcome)
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the audit log: %v", want)
	}

	// Out of the project, she is nobody with what she has.
	if err := os.WriteFile(
		filepath.Join(y.Dir, ".config/hostler/projects/web/project.conf"), []byte("[members]\nvic = viewer\n"), 0o600,
	); err != nil {
		t.Fatal(err)
	}
	y.run(at, "reload")
	if status, body := y.ask(ann, "", http.MethodPost, ask, request("one", "u")); status != http.StatusForbidden {
		t.Errorf("status = %d body = %s; want status == http.StatusForbidden", status, body)
	}
	y.k.Stop()
}

// Who asks too often is told to wait, in the words of what he asks; others are served.
func TestSlaposTooMany(t *testing.T) {
	y := newSlaposYard(t, map[string]string{"hostler.conf": "[slap]\nca-directory = CA\n[auth]\nrequests = 0.001\nrequest-burst = 2\n"})
	at := "--controller=unix:" + filepath.Join(y.Dir, "run", "hostler", "controller.sock")
	ann := strings.TrimSpace(y.run(at, "-q", "token", "create", "--owner", "ann"))
	const path = "/slapos/getRunId"
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if status, body := y.ask(nil, ann, http.MethodGet, path, nil); status != want ||
			want == http.StatusTooManyRequests && !strings.Contains(body, "ann makes too many requests") {
			t.Errorf(
				"%d: status = %d body = %s"+
					`; want status == want and (want != http.StatusTooManyRequests or body with "ann makes too `+
					`many requests")`,
				i, status, body,
			)
		}
	}
	if status, body := y.ask(nil, ann, http.MethodPost, "/slapos/slapos.get.v0.hateoas_url", nil); status != http.StatusTooManyRequests ||
		!strings.Contains(body, `"status":429`) {
		t.Errorf("status = %d body = %s; want status == http.StatusTooManyRequests and body with `\"status\":429`", status, body)
	}
	if status, body := y.ask(nil, y.admin, http.MethodGet, path, nil); status != http.StatusOK {
		t.Errorf("status = %d body = %s; want status == http.StatusOK", status, body)
	}
	y.k.Stop()
}

// TestSlaposUnknown: a known caller that may not do this has not failed to authenticate, so it is
// served when another at its address has failed too often.
func TestSlaposUnknown(t *testing.T) {
	y := newSlaposYard(t, map[string]string{
		"hostler.conf":              "[slap]\nca-directory = CA\n[auth]\nfailures = 0.001\nfailure-burst = 2\n",
		"projects/web/project.conf": "[members]\nvic = viewer\n",
	})
	at := "--controller=unix:" + filepath.Join(y.Dir, "run", "hostler", "controller.sock")
	vic := strings.TrimSpace(y.run(at, "-q", "token", "create", "--owner", "vic"))
	ask := func(token string, want int) {
		t.Helper()
		if status, body := y.ask(nil, token, http.MethodPost, "/slapos/requestComputerPartition", nil); status != want {
			t.Errorf("got %d %s, want %d", status, body, want)
		}
	}
	for range 4 {
		ask(vic, http.StatusForbidden)
		ask("", http.StatusForbidden) // it presents nothing
	}
	ask("hst_guess", http.StatusForbidden)
	ask("hst_guess", http.StatusForbidden)
	ask("hst_guess", http.StatusTooManyRequests)
	ask(vic, http.StatusForbidden)
	y.k.Stop()
}
