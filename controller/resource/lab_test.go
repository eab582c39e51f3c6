package resource_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/controller/resource"
)

var lab = &computetest.Kubernetes{Port: 18743}

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// site is a namespace of a test's own, with a home for hostler and a source of two computers.
type site struct {
	more                 []string // environment of commands
	t                    *testing.T
	namespace, dir, sock string
	program, kubeconfig  string
}

// kinds are defined once.
var kinds sync.Once

// define has the cluster know our kinds.
func define(t *testing.T) {
	t.Helper()
	lab.Ctl(t, "", "apply", "-f", kindFiles)
	lab.Ctl(t, "", "wait", "--for=condition=Established", "-f", kindFiles)
}

func newSite(t *testing.T, name string, conf ...string) *site {
	t.Helper()
	kubeconfig := lab.Config(t)
	kinds.Do(func() { define(t) })
	run, err := os.MkdirTemp("", "h") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	s := &site{
		t: t, namespace: name, dir: t.TempDir(), sock: filepath.Join(run, "s"),
		program: lab.Program(t, "hostler", "-tags", "failpoint", "../../cmd/hostlerd"), kubeconfig: kubeconfig,
	}
	s.source("web", "type = fake\nmaximum = 2\n\n[fake]\nreply = in\n")
	s.file("hostler.conf", strings.Join(append(conf, "[resources]", "namespaces = "+name, "kubeconfig = "+kubeconfig), "\n")+"\n")
	lab.Ctl(t, "", "create", "namespace", name)
	t.Cleanup(func() { // nobody is left who would let its objects go
		if t.Failed() {
			t.Log(lab.Ctl(t, "", "get", "leases."+resource.Group, "-n", name, "-o", "yaml"))
		}
		for object := range strings.FieldsSeq(lab.Ctl(t, "", "get", "leases."+resource.Group, "-n", name, "-o", "name")) {
			lab.Ctl(t, "", "patch", "-n", name, object, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
		}
		lab.Ctl(t, "", "delete", "namespace", name, "--wait=false")
	})
	return s
}

func (s *site) source(name, conf string) { s.file("sources/"+name+"/source.conf", conf) }

func (s *site) file(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, ".config", "hostler", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) environment(more ...string) (env []string) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "HOSTLER_") &&
			!strings.HasPrefix(name, "XDG_") && name != "HOME" && name != "KUBECONFIG" {
			env = append(env, v)
		}
	}
	return append(append(env, "HOME="+s.dir, "XDG_RUNTIME_DIR="+filepath.Dir(s.sock), "HOSTLER_CONTROLLER=unix:"+s.sock), more...)
}

// serving is a controller.
type serving struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *locked
	ended chan struct{}
}

type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve starts a controller, which the test's end kills.
func (s *site) serve(env ...string) *serving {
	s.t.Helper()
	c := &serving{t: s.t, cmd: exec.Command(s.program, "serve", "--socket", s.sock), log: &locked{}, ended: make(chan struct{})}
	c.cmd.Env, c.cmd.Stderr = s.environment(env...), c.log
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = c.cmd.Wait(); close(c.ended) }()
	s.t.Cleanup(func() {
		c.kill()
		if s.t.Failed() {
			s.t.Log(c.log.String())
		}
	})
	return c
}

func (c *serving) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// stop has it end by itself.
func (c *serving) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	<-c.ended
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		c.t.Errorf("serve ends with %d", code)
	}
}

// hostler runs a command and returns what it printed.
func (s *site) hostler(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(s.program, args...)
	cmd.Env = s.environment(s.more...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("hostler %s: %v: %s", strings.Join(args, " "), err, said.String())
	}
	return string(out)
}

// leases are those that live, as NAME=OWNER by instance.
func (s *site) leases() map[string]string {
	s.t.Helper()
	var doc struct {
		Leases []struct{ Instance, Owner string }
	}
	s.get("/v1/leases", &doc)
	out := map[string]string{}
	for _, l := range doc.Leases {
		out[l.Instance] = l.Owner
	}
	return out
}

// get asks the controller.
func (s *site) get(path string, doc any) {
	s.t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", s.sock)
	}}}
	computetest.Eventually(s.t, "the controller answers", func() error {
		answer, err := c.Get("http://hostler" + path)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		return json.NewDecoder(answer.Body).Decode(doc)
	})
}

// lease makes a Lease; spec is of JSON's.
func (s *site) lease(name, spec string) {
	s.t.Helper()
	lab.Ctl(
		s.t,
		fmt.Sprintf(
			`{"apiVersion":"%s/%s","kind":"Lease","metadata":{"name":%q,"namespace":%q},"spec":%s}`, resource.Group,
			resource.Version, name, s.namespace, spec,
		),
		"create", "-f", "-",
	)
}

// object is what the API server has of a Lease; false: nothing.
func (s *site) object(name string) (o resource.Lease, ok bool) {
	s.t.Helper()
	text := lab.Ctl(s.t, "", "get", "leases."+resource.Group, "-n", s.namespace, name, "--ignore-not-found", "-o", "json")
	if text == "" {
		return o, false
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		s.t.Fatal(err)
	}
	return o, true
}

// phase waits until a Lease is in a phase.
func (s *site) phase(name, phase string) (o resource.Lease) {
	s.t.Helper()
	computetest.Eventually(s.t, name+" is "+phase, func() error {
		o, _ = s.object(name)
		if o.Status.Phase != phase {
			return fmt.Errorf("it is %q, %s", o.Status.Phase, o.Status.Reason)
		}
		return nil
	})
	return o
}

// away asks for the deletion of a Lease.
func (s *site) away(name string) {
	s.t.Helper()
	lab.Ctl(s.t, "", "delete", "leases."+resource.Group, "-n", s.namespace, name, "--wait=false")
}

// gone waits until there is no such object any more.
func (s *site) gone(name string) {
	s.t.Helper()
	computetest.Eventually(s.t, name+" is gone", func() error {
		if _, ok := s.object(name); ok {
			return errors.New("it is there")
		}
		return nil
	})
}

// held waits until so many leases live.
func (s *site) held(n int) {
	s.t.Helper()
	computetest.Eventually(s.t, fmt.Sprintf("%d leases live", n), func() error {
		if got := s.leases(); len(got) != n {
			return fmt.Errorf("there are %v", got)
		}
		return nil
	})
}
