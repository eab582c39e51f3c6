package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/controller/callers"
)

// tenancy is a controller with a project, a token of one of its users, and something that the user
// must not read.
type tenancy struct {
	*yard
	t      *testing.T
	at     string            // the address that it listens on
	tokens map[string]string // by role
	canary string            // words in a file of the controller's own user
	// how often the controller asked the web server that nobody may have it ask
	asked atomic.Int32
	inner *httptest.Server
}

// newTenancy serves sources of all types to a project. Each could show the controller's own files
// to a user who may choose what it is made of.
func newTenancy(t *testing.T) *tenancy {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root's sandboxes and chroots show all of this machine")
	}
	root := lab(t, "base-rootfs", "tiny")["rootfs"]
	o := &tenancy{t: t, canary: "canary-6f1c2ad0b7"}
	o.inner = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		http.Error(w, o.canary, http.StatusTeapot)
	}))
	t.Cleanup(o.inner.Close)
	far := "image = debian:12\n"
	o.yard = newYard(t, map[string]string{
		"hostler.conf":                "[auth]\nadmins = adam\n",
		"projects/team/project.conf":  "[members]\numa = user\nvic = viewer\nolga = operator\n",
		"sources/box/source.conf":     "type = sandbox\nmaximum = 4\n[sandbox]\nimage = dir:" + root + "\nmemory = 128M\nnetwork = none\n",
		"sources/few/source.conf":     "type = sandbox\nimages = debian:*, dir:" + root + "\nmax-memory = 256M\n[sandbox]\nimage = dir:" + root + "\nmemory = 128M\nnetwork = none\n",
		"sources/both/source.conf":    "type = pool\nsources = box\n",
		"sources/own/source.conf":     "type = sandbox\n",
		"sources/root/source.conf":    "type = chroot\n[chroot]\nbase = " + root + "\n",
		"sources/mixed/source.conf":   "type = pool\nsources = root, box\n",
		"sources/machine/source.conf": "type = vm\n[vm]\nimage = /dev/null\n",
		"sources/case/source.conf":    "type = container\n[container]\n" + far + "memory = 256M\ncores = 2\ndisk = 1G\nsocket = /nowhere/docker.sock\n",
		"sources/sky/source.conf":     "type = openstack\n[openstack]\ncloud = none\n" + far,
		"sources/amazon/source.conf":  "type = ec2\n[ec2]\nregion = none\nimage = ami-1\n",
		"sources/pods/source.conf":    "type = kubernetes\n[kubernetes]\nkubeconfig = /nowhere\n" + far,
		"sources/puppet/source.conf":  "type = fake\n[fake]\nrun = exec\n",
		"sources/scarce/source.conf":  "type = fake\nmaximum = 1\n",
		"sources/mock/source.conf":    "type = fake\n[fake]\nimages = one, two\nflavors = small\nlocations = here\nuser-data = 1000\n",
		"secret":                      o.canary + "\n",
	})
	o.at = o.Serve("--listen", "127.0.0.1:0").Said(`tcp:(127\.0\.0\.1:[0-9]+)`)
	here := "--controller=unix:" + filepath.Join(o.Dir, "run", "hostler", "controller.sock")
	o.tokens = map[string]string{}
	for role, name := range map[string]string{"user": "uma", "viewer": "vic", "operator": "olga", "admin": "adam"} {
		o.tokens[role] = strings.TrimSpace(o.run(here, "-q", "token", "create", "--owner", name, "--name", role))
	}
	o.tokens["bound"] = strings.TrimSpace(o.run(here, "-q", "token", "create", "--owner", "uma", "--source", "both", "--name", "bound"))
	return o
}

// ask asks for a lease, and returns the status and what came back.
func (o *tenancy) ask(role string, doc map[string]any) (int, string) {
	o.t.Helper()
	return o.post(role, "/v1/leases", doc)
}

func (o *tenancy) post(role, path string, doc map[string]any) (int, string) {
	o.t.Helper()
	body, err := json.Marshal(doc)
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+o.at+path, bytes.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.tokens[role])
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	if strings.Contains(string(text), o.canary) {
		o.t.Errorf("%s: %v: the answer has what only the controller's own user may read: %s", role, doc, text)
	}
	return answer.StatusCode, string(text)
}

// reads tells whether a lease that was given lets its user read what only the controller's own user
// may, and gives it back.
func (o *tenancy) reads(role, answer string) bool {
	o.t.Helper()
	var lease struct{ ID, Instance string }
	if err := json.Unmarshal([]byte(answer), &lease); err != nil || lease.ID == "" {
		o.t.Fatalf("%v: %s", err, answer)
	}
	vars := append(o.vars, "HOSTLER_TOKEN="+o.tokens[role], "HOME="+o.t.TempDir())
	hostler := func(args ...string) string {
		cmd := exec.Command("hostler", append([]string{"--controller=http://" + o.at}, args...)...)
		cmd.Env, cmd.Dir = vars, o.Dir
		out, _ := cmd.CombinedOutput() // what is refused is what is wanted
		return string(out)
	}
	secret := filepath.Join(o.Dir, ".config/hostler/secret")
	out := hostler(
		"run", lease.ID, "--", "sh", "-c",
		fmt.Sprintf("cat %[1]s /proc/1/root%[1]s /proc/*/root%[1]s; cat /var/lib/hostler/controller.token", secret),
	)
	hostler("release", lease.ID)
	return strings.Contains(out, o.canary)
}

// hostile are values of fields with which a request reached further than it should, or could.
func (o *tenancy) hostile() map[string][]any {
	secret := filepath.Join(o.Dir, ".config/hostler/secret")
	return map[string][]any{
		"image": {"dir:/", "/", "host", "host:/", "host:" + o.Dir, "dir:/root", "dir:" + o.Dir, "./", "..", "~",
			"dir:/proc/self/root", "DIR:/", "oci:" + o.Dir, "oci:/nowhere", "oci-archive:" + secret,
			"docker-archive:" + secret,
			"docker-daemon:x", "sha256:b40a22", secret, "/dev/sda", "/dev/vda", "x.tar", "a/b.qcow2", "/etc",
			"../images/json", strings.TrimPrefix(o.inner.URL, "http://") + "/x",
			"docker://" + strings.TrimPrefix(o.inner.URL, "http://") + "/x",
			"localhost:1/x", "169.254.169.254/latest", "[::1]:1/x", "debian:12", "ami-2", "one"},
		"flavor":    {"small", "0", "x1.32xlarge", "m"},
		"location":  {"here", "0", "us-east-1", "subnet-1"},
		"user_data": {[]byte("#cloud-config\nruncmd: [reboot]")},
		"memory":    {20 << 30, 1 << 40, 1<<63 - 1},
		"cores":     {1000, 1e300},
		"disk":      {1 << 50, 1<<63 - 1},
		"gpus":      {1, 1 << 30},
		"owner":     {"root", "olga"},
		"project":   {"", "other"},
		"for":       {map[string]any{"pid": 1 << 20, "start": 1}},
	}
}

// TestTenantTakesNoMore asks, in each role, for each source, for each value that reaches further:
// nothing is given, nothing is fetched, and no answer tells what is where.
func TestTenantTakesNoMore(t *testing.T) {
	o := newTenancy(t)
	if status, text := o.ask("user", map[string]any{"source": "box", "wait": 0}); status != http.StatusCreated || o.reads("user", text) {
		t.Fatalf("what a user may have: %d %s", status, text)
	}
	sources := []string{"box", "both", "mixed", "own", "root", "machine", "case", "sky", "amazon", "pods", "puppet", "local", "sandbox"}
	for _, role := range []string{"user", "bound", "viewer", "operator", "admin"} {
		for _, source := range sources {
			for field, values := range o.hostile() {
				may := role == "operator" || role == "admin"
				if field == "project" || field == "owner" && may || field == "cores" && source == "both" {
					continue
				}
				for _, value := range values {
					doc := map[string]any{"source": source, "wait": 0, "project": "team", field: value}
					if role == "bound" && source != "both" {
						doc["source"] = "both"
					}
					status, text := o.ask(role, doc)
					if status < 400 || status >= 500 {
						t.Errorf(
							"%s: doc = %v: status = %d text = %.300s"+
								"; want status >= 400 and status < 500",
							role, doc, status, text,
						)
						if status == http.StatusCreated && o.reads(role, text) {
							t.Errorf("%s: %v: it reads what only the controller's own user may", role, doc)
						}
					}
				}
			}
		}
		if role == "user" { // for the others one source of each kind will do
			sources = []string{"box", "both", "root", "machine"}
		}
	}
	// Whether a file is there is not told: what is not allowed is refused before anybody looks.
	_, there := o.ask("user", map[string]any{"source": "box", "image": "oci:" + o.Dir, "project": "team"})
	_, absent := o.ask("user", map[string]any{"source": "box", "image": "oci:/nowhere", "project": "team"})
	request := regexp.MustCompile(`"request":"[^"]*"`)
	there, absent = request.ReplaceAllString(strings.ReplaceAll(there, o.Dir, "/nowhere"), ""), request.ReplaceAllString(absent, "")
	if there != absent {
		t.Errorf("of a file that is there it says\n%s\nand of another\n%s", there, absent)
	}
	if n := o.asked.Load(); n > 0 {
		t.Errorf("the controller fetched %d times for others", n)
	}
	// What a key allows is given.
	status, text := o.ask("user", map[string]any{"source": "few", "memory": 200 << 20, "project": "team", "wait": 0})
	if status != http.StatusCreated || o.reads("user", text) {
		t.Errorf("what its keys allow: %d %s", status, text)
	}
	if status, text = o.ask(
		"user", map[string]any{"source": "few", "memory": 300 << 20, "project": "team", "wait": 0},
	); status != http.StatusTooManyRequests || !strings.Contains(text, "max-memory is 256M") {
		t.Errorf("more memory than max-memory: %d %s", status, text)
	}
	if status, text = o.ask(
		"user", map[string]any{"source": "few", "image": "dir:/", "project": "team"},
	); status != http.StatusForbidden || !strings.Contains(text, "debian:*") {
		t.Errorf("another image than those of the key: %d %s", status, text)
	}
}

// TestTenantIsGivenNoKey: who may not enter a lease on what is the controller's own user's does not
// get in by a key to it that somebody makes, and who waits for a source that is taken out of reach
// meanwhile does not get it.
func TestTenantIsGivenNoKey(t *testing.T) {
	o := newTenancy(t)
	token, err := os.ReadFile(filepath.Join(o.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	o.tokens["own"] = strings.TrimSpace(string(token))
	for name, doc := range map[string]map[string]any{
		"mine":  {"source": "root", "name": "mine", "project": "team"},
		"umas":  {"source": "root", "name": "umas", "owner": "uma", "project": "team"},
		"image": {"source": "box", "name": "image", "image": "dir:" + o.Dir, "owner": "uma", "project": "team"},
	} {
		if status, text := o.ask("own", doc); status != http.StatusCreated {
			t.Fatalf("%s: status = %d text = %s; want status == http.StatusCreated", name, status, text)
		}
		for _, role := range []string{"user", "admin"} {
			if status, text := o.post(role, "/v1/leases/"+name+"/token", nil); status < 400 || status >= 500 {
				t.Errorf("%s: a key of %s: %d %s", role, name, status, text)
			}
		}
		if _, text := o.post("admin", "/v1/tokens", map[string]any{"owner": callers.UserName(0), "name": "x"}); name == "mine" {
			var made struct{ Token string }
			_ = json.Unmarshal([]byte(text), &made) // that it is refused will do as well
			o.tokens["made"] = made.Token
			if status, text := o.post("made", "/v1/leases/mine/token", nil); status < 400 || status >= 500 {
				t.Errorf("a token that an administrator made in the name of the controller's user: %d %s", status, text)
			}
		}
	}

	if status, text := o.ask("own", map[string]any{"source": "scarce", "name": "only", "project": "team"}); status != http.StatusCreated {
		t.Fatalf("status = %v, text = %v; want status == http.StatusCreated", status, text)
	}
	type answer struct {
		status int
		text   string
	}
	got := make(chan answer)
	go func() {
		status, text := o.ask("user", map[string]any{"source": "scarce", "wait": 60, "project": "team"})
		got <- answer{status, text}
	}()
	here := "--controller=unix:" + filepath.Join(o.Dir, "run", "hostler", "controller.sock")
	waitFor(t, "the request to wait", func() bool { return strings.Contains(o.run(here, "queue", "--json"), `"uma"`) })
	file := filepath.Join(o.Dir, ".config/hostler/sources/scarce/source.conf")
	if err := os.WriteFile(file, []byte("type = fake\nmaximum = 1\n[fake]\nrun = exec\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.run(here, "reload")
	defer o.run(here, "release", "--any", "--force", "--wait", "mine", "umas", "image")
	if a := <-got; a.status != http.StatusForbidden {
		t.Errorf("who waited for what is out of reach by now: %d %s", a.status, a.text)
	}
}

// TestTenantFuzzed has a user with a token ask for anything, in any combination: what comes of it
// never shows what only the controller's own user may read.
func TestTenantFuzzed(t *testing.T) {
	o := newTenancy(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	sources := []string{"box", "few", "both", "mixed", "own", "root", "mock", "local", "sandbox"}
	hostile := o.hostile()
	delete(hostile, "for")
	given := 0
	for range 300 {
		doc := map[string]any{"source": sources[random.IntN(len(sources))], "wait": 0, "ttl": 60}
		for field, values := range hostile {
			if random.IntN(6) == 0 {
				doc[field] = values[random.IntN(len(values))]
			}
		}
		for _, field := range []string{"new", "cached_only", "token"} {
			if random.IntN(4) == 0 {
				doc[field] = true
			}
		}
		status, text := o.ask("user", doc)
		switch {
		case status == http.StatusServiceUnavailable && strings.Contains(text, "its name leads nowhere"):
			// an image that it may choose, and no registry is here
		case status >= 500:
			t.Errorf("seed %d: %v: %d %s", seed, doc, status, text)
		case status == http.StatusCreated && !strings.Contains(text, `"instance":""`) && !strings.Contains(text, `"instance":"mock`):
			if given++; o.reads("user", text) {
				t.Errorf("seed %d: %v: it reads what only the controller's own user may", seed, doc)
			}
		}
	}
	if o.asked.Load() > 0 {
		t.Errorf("seed %d: the controller fetched for others", seed)
	}
	t.Logf("seed %d: %d leases were given", seed, given)
}
