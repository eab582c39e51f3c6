package ironic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// ownIronic is a real Ironic that a test has for itself, with nodes of its own: it can be killed
// and started again, and nobody else's nodes are touched. The services beside it are the lab's.
// Everybody reaches it by a proxy, by which it can be made to lie.
type ownIronic struct {
	t        testing.TB
	dir      string // its state, and its database ironic.db
	text     string // of its configuration, where PORT stands for its port
	conf     string // the file
	programs string // where those of the lab are
	env      []string
	port     atomic.Int64
	clouds   string // a clouds.yaml whose cloud admin has this Ironic

	// answers in its place; false: it has not
	lie atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// newOwnIronic makes one and starts it. settings are lines for the section [api] of its
// configuration.
func newOwnIronic(t testing.TB, settings string) *ownIronic {
	t.Helper()
	clouds := computetest.OpenStack(t)
	lab := filepath.Dir(clouds)
	o := &ownIronic{t: t, dir: t.TempDir(), programs: filepath.Join(lab, "pkg/usr/bin")}
	conf, err := os.ReadFile(filepath.Join(lab, "etc/ironic.conf"))
	do(t, err)
	o.env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + o.dir,
		"LANG=C.UTF-8", "TMPDIR=" + o.dir, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
		"PYTHONPATH=" + filepath.Join(computetest.Shared(), "openstack/lib/python") + ":" + filepath.Join(lab, "python")}
	front := o.proxies(t, clouds)
	o.conf = filepath.Join(o.dir, "ironic.conf")
	text := string(conf)
	for _, r := range [][2]string{{`(?m)^port = .*$`, "port = PORT\n" + settings},
		{`(?m)^public_endpoint = .*$`, "public_endpoint = " + front}, {`(?m)^host = .*$`, "host = own"},
		{`(?m)^state_path = .*$`, "state_path = " + o.dir}, {`(?m)^tempdir = .*$`, "tempdir = " + o.dir},
		{`(?m)^lock_path = .*$`, "lock_path = " + o.dir},
		{`(?m)^connection = .*$`, "connection = sqlite:///" + filepath.Join(o.dir, "ironic.db")},
		{`(?m)^(max_pool_size|max_overflow|connection_recycle_time) = .*$`, ""}} {
		re := regexp.MustCompile(r[0])
		if !re.MatchString(text) {
			t.Fatalf("the lab's ironic.conf has no %s", r[0])
		}
		text = re.ReplaceAllLiteralString(text, r[1])
	}
	o.text = text
	tables := exec.Command("/usr/bin/python3", filepath.Join(o.programs, "ironic-dbsync"), "--config-file", o.conf, "create_schema")
	tables.Env = o.env
	do(t, os.WriteFile(o.conf, []byte(strings.ReplaceAll(text, "PORT", "1")), 0o600))
	if out, err := tables.CombinedOutput(); err != nil {
		t.Fatalf("its tables could not be made: %v: %s", err, out)
	}
	t.Cleanup(o.stop)
	o.start()
	return o
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	do(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// proxies stand before the lab's identity service, whose catalog they change, and before our
// Ironic.
func (o *ownIronic) proxies(t testing.TB, clouds string) (front string) {
	t.Helper()
	text, err := os.ReadFile(clouds)
	do(t, err)
	auth := regexp.MustCompile(`http://[0-9.]+:(\d+)/v3`).FindSubmatch(text)
	if auth == nil {
		t.Fatalf("%s has no auth_url", clouds)
	}
	offset, _ := strconv.Atoi(string(auth[1]))
	theirs := fmt.Sprintf(":%d", 6385+offset-5000)
	// what stands behind is not there: as a balancer says it
	quiet := func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(
			w,
			"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n",
		)
	}
	metal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lie := o.lie.Load(); lie != nil && (*lie)(w, r) {
			return
		}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", o.port.Load())})
		}, ErrorHandler: quiet}).ServeHTTP(w, r)
	}))
	t.Cleanup(metal.Close)
	where, _ := url.Parse(metal.URL)
	ours := ":" + where.Port()
	labAuth, err := url.Parse(strings.TrimSuffix(string(auth[0]), "/v3"))
	do(t, err)
	var identity *httptest.Server
	identity = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(labAuth); p.Out.Header.Del("Accept-Encoding") }, ErrorHandler: quiet,
		ModifyResponse: func(r *http.Response) error {
			b, err := io.ReadAll(r.Body)
			r.Body.Close()
			b = bytes.ReplaceAll(
				bytes.ReplaceAll(b, []byte(labAuth.Host), []byte(strings.TrimPrefix(identity.URL, "http://"))),
				[]byte(theirs), []byte(ours),
			)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			r.Header.Set("Content-Length", strconv.Itoa(len(b)))
			return err
		},
	})
	t.Cleanup(identity.Close)
	o.clouds = filepath.Join(o.dir, "clouds.yaml")
	do(t, os.WriteFile(o.clouds, bytes.ReplaceAll(text, auth[0], []byte(identity.URL+"/v3")), 0o600))
	return metal.URL
}

// start starts it, at a port that is free, and waits until it answers.
func (o *ownIronic) start() {
	o.t.Helper()
	for tries := 1; ; tries++ {
		err := o.try(freePort(o.t))
		if err == nil {
			return
		}
		if tries == 3 { // somebody else may have had the port
			o.t.Fatal(err)
		}
	}
}

func (o *ownIronic) try(port int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := os.WriteFile(o.conf, []byte(strings.ReplaceAll(o.text, "PORT", strconv.Itoa(port))), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(o.dir, "ironic.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/usr/bin/python3", filepath.Join(o.programs, "ironic"), "--config-file", o.conf)
	cmd.Env, cmd.Stdout, cmd.Stderr = o.env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	begun, ended := make(chan error), make(chan struct{})
	go func() { // ends with the process: stop sees to that
		runtime.LockOSThread() // Pdeathsig is of the thread
		err := cmd.Start()
		begun <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-begun; err != nil {
		return err
	}
	o.cmd, o.ended = cmd, ended
	client := http.Client{Timeout: 10 * time.Second}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		select {
		case <-ended:
			o.cmd = nil
			return fmt.Errorf("ironic has ended: %s", o.log())
		default:
		}
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err == nil {
			resp.Body.Close()
			o.port.Store(int64(port))
			return nil
		}
	}
	return errors.New("ironic does not answer")
}

// stop kills it.
func (o *ownIronic) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cmd != nil {
		_ = syscall.Kill(-o.cmd.Process.Pid, syscall.SIGKILL)
		<-o.ended
		o.cmd = nil
	}
	if o.t.Failed() {
		o.t.Logf("the end of its log: %s", o.log())
	}
}

func (o *ownIronic) log() string {
	b, _ := os.ReadFile(filepath.Join(o.dir, "ironic.log"))
	return string(b[max(0, len(b)-3000):])
}

// session speaks to it.
func (o *ownIronic) session(t testing.TB) *openstack.Session {
	t.Helper()
	cred, err := credentials.Find(credentials.Where{Cloud: "admin", File: o.clouds, Getenv: func(string) string { return "" }})
	do(t, err)
	s, err := openstack.NewSession(cred, openstack.SessionOptions{Rate: 100})
	do(t, err)
	t.Cleanup(s.CloseIdle)
	return s
}

// drive is what a node was told: the config drive as Ironic keeps it, which shows it to nobody.
func (o *ownIronic) drive(t testing.TB, node string) (d configDrive) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	script := `import json, sqlite3, sys
db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True, timeout=30)
info = db.execute('select instance_info from nodes where uuid = ?', (sys.argv[2],)).fetchone()[0]
print(json.dumps(json.loads(info)['configdrive']))`
	out, err := exec.CommandContext(ctx, "/usr/bin/python3", "-c", script, filepath.Join(o.dir, "ironic.db"), node).CombinedOutput()
	if err != nil {
		t.Fatalf("its config drive cannot be read: %v: %s", err, out)
	}
	do(t, json.Unmarshal(out, &d))
	return d
}

// configDrive is what stands on one.
type configDrive struct {
	Meta struct {
		Name string            `json:"name"`
		Keys map[string]string `json:"public_keys"`
	} `json:"meta_data"`
	UserData string `json:"user_data"`
}
