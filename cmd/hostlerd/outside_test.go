package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller"
)

// yard is a place with a configuration, for controllers that are looked at from outside.
type yard struct {
	t    *testing.T
	Dir  string
	vars []string
}

func newYard(t *testing.T, files map[string]string, env ...string) *yard {
	t.Helper()
	o := &yard{t: t, Dir: t.TempDir()}
	run := filepath.Join(o.Dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		at := filepath.Join(o.Dir, ".config", "hostler", name)
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o700
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	o.vars = append(
		os.Environ(), "HOME="+o.Dir, "XDG_RUNTIME_DIR="+run, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_CACHE_HOME=",
		"HOSTLER_CONFIG=", "HOSTLER_CONTROLLER=", "HOSTLER_TOKEN=",
	)
	o.vars = append(o.vars, env...)
	return o
}

// run runs a command line that must succeed.
func (o *yard) run(args ...string) string {
	o.t.Helper()
	cmd := exec.Command("hostler", args...)
	cmd.Env, cmd.Dir = o.vars, o.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("%q: %v: %s", args, err, out)
	}
	return string(out)
}

// watchedController is a controller that runs, with what it has logged.
type watchedController struct {
	o   *yard
	cmd *exec.Cmd
	log string
}

// Serve starts a controller, which is killed at the end of the test at the latest, and waits until
// it serves.
func (o *yard) Serve(args ...string) *watchedController {
	o.t.Helper()
	return o.ServeBy(nil, args...)
}

// ServeBy starts a controller by another program.
func (o *yard) ServeBy(by []string, args ...string) *watchedController {
	o.t.Helper()
	log, err := os.CreateTemp(o.t.TempDir(), "serve")
	if err != nil {
		o.t.Fatal(err)
	}
	defer log.Close()
	command := slices.Concat(by, []string{"hostler"}, serving(args))
	k := &watchedController{o: o, cmd: exec.Command(command[0], command[1:]...), log: log.Name()}
	k.cmd.Env, k.cmd.Dir, k.cmd.Stderr = o.vars, o.Dir, log
	if err := k.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(k.kill)
	k.Said(`serving`)
	return k
}

// Said waits until the log matches, and returns the first group.
func (k *watchedController) Said(what string) string {
	k.o.t.Helper()
	re := regexp.MustCompile(what)
	var text []byte
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		text, _ = os.ReadFile(k.log)
		if m := re.FindSubmatch(text); m != nil {
			return string(m[len(m)-1])
		}
	}
	k.o.t.Fatalf("it did not log %q within a minute: %s", what, text)
	return ""
}

func (k *watchedController) kill() {
	if k.cmd.ProcessState == nil {
		_ = k.cmd.Process.Kill()
		_ = k.cmd.Wait()
	}
}

// Stop ends it well.
func (k *watchedController) Stop() {
	k.o.t.Helper()
	_ = k.cmd.Process.Signal(syscall.SIGTERM)
	if err := k.cmd.Wait(); err != nil {
		text, _ := os.ReadFile(k.log)
		k.o.t.Errorf("%v: %s", err, text)
	}
}

// get asks, and returns status, header and body.
func get(t *testing.T, url, token string, header ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(body)
}

var outsideSources = map[string]string{
	"sources/web/source.conf":      "type = fake\nspare = 1\nmaximum = 3\nprice = 0.5\n",
	"sources/bad/source.conf":      "type = fake\n\n[fake]\nfail-create = always\n",
	"sources/hooked/source.conf":   "type = fake\n",
	"sources/hooked/provision.d/1": "#!/bin/sh\nexit 0\n",
}

// TestMetrics scrapes a controller at work: what it tells is so, whoever may not have it does not
// get it, and Prometheus and the dashboard take it.
func TestMetrics(t *testing.T) {
	o := newYard(t, outsideSources)
	k := o.Serve("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
	api := "http://" + k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	open := "http://" + k.Said(`msg=metrics listen=([0-9.:]+)`)
	names := strings.Fields(o.run("acquire", "-s", "web", "2"))
	o.run("release", names[0])
	o.run("run", "hooked", "--", "true")
	waitFor(t, "one is ready again", func() bool {
		_, _, text := get(t, open+"/metrics", "")
		return strings.Contains(text, "\nhostler_instances{source=\"web\",state=\"ready\"} 1\n") &&
			strings.Contains(text, "\nhostler_instances{source=\"web\",state=\"leased\"} 1\n")
	})
	status, header, text := get(t, open+"/metrics", "")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf(
			"status = %d, header = %v"+
				`; want status == 200 and strings.HasPrefix(header.Get("Content-Type"), "text/plain; `+
				`version=0.0.4")`,
			status, header,
		)
	}
	for _, want := range []string{
		`hostler_leases{source="web"} 1`, `hostler_wanted_instances{source="web"} 2`,
		`hostler_maximum_instances{source="web"} 3`, `hostler_cost_per_hour{source="web"} 1`,
		`hostler_queue_requests{source="web"} 0`, `hostler_creations_total{source="hooked",result="ok"} 1`,
		`hostler_phase_seconds_count{source="hooked",phase="set_up"} 1`,
		`hostler_acquires_total{source="hooked",result="miss"} 1`, `hostler_acquire_seconds_count{source="web",result=`,
		`hostler_provider_calls_total{source="web",op="create",result="ok"}`,
		`hostler_directives_total{source="web",verb="create",result="ok"}`,
		`hostler_api_requests_total{method="POST",route="/v1/leases",status="20`, `hostler_sources_looked 1`,
		`hostler_store_transactions_total{op="update",result="ok"}`, `hostler_director_rounds_total{result="ok"}`,
		`hostler_build_info{`, `go_goroutines `, `process_resident_memory_bytes `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("there is no %s", want)
		}
	}
	for _, not := range append(names, "root@", o.Dir) {
		if strings.Contains(text, not) {
			t.Errorf("%q is in it", not)
		}
	}
	if status, _, _ := get(t, api+"/metrics", ""); status != 401 {
		t.Errorf("a stranger has metrics: %d", status)
	}
	secret, err := os.ReadFile(filepath.Join(o.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	if status, _, text := get(t, api+"/metrics", strings.TrimSpace(string(secret))); status != 200 ||
		!strings.Contains(text, "hostler_leases") {
		t.Errorf("the administrator has none: %d", status)
	}
	for path, want := range map[string]int{"/v1/sources": 404, "/": 404, "/healthz": 404} {
		if status, _, _ := get(t, open+path, ""); status != want {
			t.Errorf("%s: status = %d; want status == want", path, status)
		}
	}
	if status, _, _ := get(t, open+"/metrics", "", "Host", "rebound.example"); status != 403 {
		t.Errorf("a page of another site has metrics: %d", status)
	}
	promtool(t, text)
	askPrometheus(t, strings.TrimPrefix(open, "http://"))
	k.Stop()
}

// TestMetricsElsewhere: nothing is open to other machines.
func TestMetricsElsewhere(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.org:80", "x"} {
		if l, err := controller.MetricsListener(addr); err == nil {
			_ = l.Close()
			t.Errorf("--metrics %s is taken", addr)
		}
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("not within a minute: " + what)
		}
	}
}

// promtool has Prometheus' own tool judge a scrape.
func promtool(t *testing.T, text string) {
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool: not installed")
		return
	}
	cmd := exec.Command(path, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: out = %s; want no error", err, out)
	}
}

// panels are the queries of the dashboard, by the panels' titles.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile("../../docs/grafana/hostler.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Query any }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			name := fmt.Sprint(p.ID, " ", p.Title)
			out[name] = append(
				out[name],
				strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$source", ".*", "$job", ".*").Replace(q.Expr),
			)
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d panels", len(out))
	}
	return out
}

// TestDashboard: the dashboard asks for nothing that is not told, and leaves nothing out that is.
func TestDashboard(t *testing.T) {
	known := map[string]bool{}
	for _, n := range controller.NewMetrics().Reg.Names() {
		known[n] = false
	}
	word := regexp.MustCompile(`\b(hostler|go|process)_[a-z0-9_]+`)
	for panel, all := range panels(t) {
		for _, q := range all {
			for _, name := range word.FindAllString(q, -1) {
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					if base, ok := strings.CutSuffix(name, suffix); ok {
						name = base
					}
				}
				if _, ok := known[name]; !ok {
					t.Errorf("%s asks for %s, which is not told", panel, name)
				}
				known[name] = true
			}
			if strings.ContainsAny(q, "$") {
				t.Errorf("%s: a variable that is not replaced: %s", panel, q)
			}
		}
	}
	page, err := os.ReadFile("../../docs/watching.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, shown := range known {
		ours := strings.HasPrefix(name, "hostler_")
		if ours && !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/watching.md does not say what %s is", name)
		}
		if ours && !shown && !slices.Contains([]string{"hostler_build_info", "hostler_sources_looked"}, name) {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// askPrometheus has a real Prometheus scrape the controller and answer all that the dashboard asks.
func askPrometheus(t *testing.T, target string) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Error("prometheus: not installed")
		}
		t.Log("prometheus: not installed, so nothing asks it")
		return
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(
		"global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs: [{job_name: hostler, static_configs: [{targets: [%q]}]}]\n",
		target,
	)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var base string
	for try := 0; base == "" && try < 5; try++ { // whoever was faster has the port
		base = prometheus(t, path, config, filepath.Join(dir, fmt.Sprint("data", try)))
	}
	if base == "" {
		t.Fatal("prometheus does not start")
	}
	ask := func(q string) (int, []json.RawMessage, string) {
		status, _, body := get(t, base+"/api/v1/query?query="+url.QueryEscape(q), "")
		var answer struct {
			Status string
			Data   struct{ Result []json.RawMessage }
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
			return status, nil, body
		}
		return status, answer.Data.Result, body
	}
	waitFor(t, "it has scraped twice", func() bool {
		_, some, body := ask(`count_over_time(hostler_leases{source="web"}[1m]) > 1`)
		return len(some) > 0 && strings.Contains(body, `"web"`)
	})
	if _, some, body := ask(`up{job="hostler"} == 1`); len(some) != 1 {
		t.Errorf("the scrape is not taken: %s", body)
	}
	for panel, all := range panels(t) {
		for _, q := range all {
			status, some, body := ask(q)
			if status != 200 || !strings.Contains(body, `"success"`) {
				t.Errorf(
					"%s: q = %s: status = %d body = %s"+
						"; want status == 200 and body with `\"success\"`",
					panel, q, status, body,
				)
			}
			if len(some) == 0 && !strings.Contains(q, "webhook") && !strings.Contains(q, "hostler_wait_seconds") {
				t.Errorf("%s: %s: nothing answers", panel, q)
			}
		}
	}
}

// prometheus starts one, and returns its address when it is ready; "": it ended.
func prometheus(t *testing.T, path, config, data string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+data, "--web.listen-address="+addr, "--log.level=error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			return ""
		default:
		}
		if answer, err := http.Get("http://" + addr + "/-/ready"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == 200 {
				return "http://" + addr
			}
		}
	}
	return ""
}

// TestMetricsCost: a scrape asks how the sources stand, and walks no instances, leases or events.
func TestMetricsCost(t *testing.T) {
	m := controller.NewMetrics()
	m.WatchSources(func() (inventory.Book, *config.Config) { return statusOnly{}, &config.Config{} })
	var b bytes.Buffer
	if err := m.Reg.Write(&b); err != nil {
		t.Fatal(err)
	}
	// of two definitions of one name
	for _, want := range []string{`hostler_instances{source="big",state="ready"} 1e+06`, `hostler_instances{source="big",state="held"} 3`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %s in %s", want, b.String())
		}
	}
}

// statusOnly panics when it is asked for anything else.
type statusOnly struct{ inventory.Book }

func (statusOnly) Status(context.Context) ([]inventory.SourceStatus, error) {
	return []inventory.SourceStatus{
		{Name: "big", Counts: inventory.Counts{Ready: 1_000_000}},
		{Name: "big", Orphaned: true, Counts: inventory.Counts{Held: 3}},
	}, nil
}

// Fail runs a command line that must fail, and returns what it says.
func (o *yard) Fail(args ...string) string {
	o.t.Helper()
	cmd := exec.Command("hostler", args...)
	cmd.Env, cmd.Dir = o.vars, o.Dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		o.t.Errorf("%q does not fail: %s", args, out)
	}
	return string(out)
}

// TestLog: each line of a log as JSON is a document with the same keys, and tells which request it
// is of.
func TestLog(t *testing.T) {
	o := newYard(t, outsideSources)
	k := o.Serve("--no-fill", "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug")
	api := "http://" + k.Said(`"listen":.*tcp:([0-9.:]+)`)
	_, header, body := get(t, api+"/v1/sources", "", "X-Request-Id", "my-request.1")
	if header.Get("X-Request-Id") != "my-request.1" || !strings.Contains(body, `"request":"my-request.1"`) {
		t.Errorf(
			"%v: body = %s"+
				"; want header.Get(\"X-Request-Id\") == \"my-request.1\" and body with `\"request\":\"my-request.1\"`",
			header, body,
		)
	}
	_, header, _ = get(t, api+"/healthz", "", "X-Request-Id", "not a plain word\t")
	if id := header.Get("X-Request-Id"); len(id) != 16 || strings.Contains(id, "plain") {
		t.Errorf(`id = %q; want len(id) == 16 and id without "plain"`, id)
	}
	k.Said(`"request":"my-request.1"`)
	k.Stop()
	text, err := os.ReadFile(k.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var doc struct {
			Time       time.Time
			Level, Msg string
			Took       *float64
			Path       string
		}
		if err := json.Unmarshal([]byte(line), &doc); err != nil || doc.Time.IsZero() || doc.Level == "" || doc.Msg == "" {
			t.Errorf(`%v: line = %s; want no error and !doc.Time.IsZero() and doc.Level != "" and doc.Msg != ""`, err, line)
		}
		if doc.Msg == "request" && (doc.Took == nil || *doc.Took > 60 || doc.Path == "") {
			t.Errorf("of a request: %s", line)
		}
	}
	for _, args := range [][]string{
		{"serve", "--log-format", "xml"}, {"serve", "--log-level", "loud"}, {"serve", "--metrics", "0.0.0.0:0"},
	} {
		o.Fail(args...)
	}
}

// TestReady has another process keep the state for itself: whoever asks whether the controller is
// ready hears no, in time, and yes afterwards. It lives all the while.
func TestReady(t *testing.T) {
	o := newYard(t, outsideSources)
	k := o.Serve("--no-fill", "--listen", "127.0.0.1:0")
	api := "http://" + k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	if status, _, _ := get(t, api+"/readyz", ""); status != 200 {
		t.Errorf("status = %d; want status == 200", status)
	}
	db, err := sql.Open("sqlite", filepath.Join(o.Dir, ".local/state/hostler/state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it is not ready", func() bool { status, _, _ := get(t, api+"/readyz", ""); return status == 503 })
	if status, _, _ := get(t, api+"/healthz", ""); status != 200 {
		t.Errorf("it does not live: %d", status)
	}
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it is ready again", func() bool { status, _, _ := get(t, api+"/readyz", ""); return status == 200 })
	k.Stop()
}
