package ironic_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute/metal"
)

// round is what a director prints of each of its rounds.
type round struct {
	Suspended, Held string
	Directives      []struct {
		Do, Node, Name, Image, Result, Error string
	}
	Ready []struct {
		Flavor, Image string
		Nodes         int
	}
}

// ready is how many nodes of a flavor are, with an image; "": of all flavors, with any image.
func (r round) ready(flavor, image string) (n int) {
	for _, one := range r.Ready {
		if (flavor == "" || one.Flavor == flavor) && (image == "" || one.Image == image) {
			n += one.Nodes
		}
	}
	return n
}

// user is somebody with a hostler of his own.
type user struct {
	*operator
	program string
	env     []string

	mu     sync.Mutex
	rounds []round
}

func (u *user) command(args ...string) *exec.Cmd {
	cmd := exec.Command(u.program, args...)
	cmd.Env = u.env
	return cmd
}

// hostler runs it, and returns what it printed. It must do what it is asked.
func (u *user) hostler(args ...string) string {
	u.Helper()
	var out, errs bytes.Buffer
	cmd := u.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		u.Fatalf("hostler %s: %v: %s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String()
}

// direct has a director run until the end of the test, or until stop is called.
func (u *user) direct() (stop func()) {
	u.Helper()
	cmd := u.command("director", "run", "--json")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	do(u, err)
	do(u, cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadBytes('\n')
			var r round
			if json.Unmarshal(line, &r) == nil {
				u.mu.Lock()
				u.rounds = append(u.rounds, r)
				u.mu.Unlock()
			}
			if err != nil {
				return
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		<-read
		if err := cmd.Wait(); err != nil {
			u.Errorf("the director ended with %v: %s", err, &errs)
		}
		if u.Failed() {
			u.Logf("the director said: %s", errs.Bytes()[max(0, errs.Len()-8000):])
		}
	})
	u.Cleanup(stop)
	return stop
}

// since are the rounds from the n-th on, and how many there are.
func (u *user) since(n int) ([]round, int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.rounds[n:]), len(u.rounds)
}

// last is the last round.
func (u *user) last() round {
	all, n := u.since(0)
	if n == 0 {
		return round{}
	}
	return all[n-1]
}

// quiet makes sure that in the next rounds, so many of which are suspended for that reason, nobody
// was told to do anything.
func (u *user) quiet(why string, n int) {
	u.Helper()
	_, from := u.since(0)
	u.until("it is seen that "+why, func() (bool, any) {
		rounds, _ := u.since(from)
		seen := 0
		for _, r := range rounds {
			if strings.Contains(r.Suspended, why) {
				seen++
				if len(r.Directives) > 0 {
					u.Fatalf("with %s it did %+v", r.Suspended, r.Directives)
				}
			}
		}
		return seen >= n, rounds
	})
}

// image makes one of a name in the lab's image service, for as long as the test lasts.
func (u *user) image(c *gophercloud.ServiceClient, name string) string {
	u.Helper()
	visible := images.ImageVisibilityPrivate
	i, err := images.Create(
		u.Context(), c, images.CreateOpts{Name: name, ContainerFormat: "bare", DiskFormat: "raw", Visibility: &visible},
	).Extract()
	do(u, err)
	u.Cleanup(func() {
		if err := images.Delete(context.Background(), c, i.ID).ExtractErr(); err != nil {
			u.Errorf("image %s stays: %v", i.ID, err)
		}
	})
	do(u, imagedata.Upload(u.Context(), c, i.ID, io.LimitReader(strings.NewReader(strings.Repeat("0", 512)), 512)).ExtractErr())
	return i.ID
}

// settle makes a home with a configuration.
func (u *user) settle(files map[string]string) {
	u.Helper()
	home := u.TempDir()
	run, err := os.MkdirTemp("", "hostler") // names of sockets are short
	do(u, err)
	u.Cleanup(func() { _ = os.RemoveAll(run) })
	u.env = append(
		os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+run, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_CACHE_HOME=",
		"HOSTLER_CONFIG=", "HOSTLER_LEASE=", "HOSTLER_CONTROLLER=", "OS_CLOUD=",
	)
	for name, text := range files {
		file := filepath.Join(home, ".config/hostler", name)
		do(u, os.MkdirAll(filepath.Dir(file), 0o700))
		do(u, os.WriteFile(file, []byte(text), 0o600))
	}
	u.program = buildHostler(u.TB)
	u.Cleanup(func() { _ = u.command("keeper", "stop").Run() })
}

// buildHostler builds the program of this tree.
func buildHostler(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "hostler")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, "../../cmd/hostlerd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("hostler cannot be built: %v: %s", err, out)
	}
	return program
}

// TestLabScenario is what a director goes through with a real Ironic of its own. It takes some four
// minutes, most of which it waits.
func TestLabScenario(t *testing.T) {
	if testing.Short() {
		t.Skip("TestLabScenario: it takes minutes, and -short is given")
	}
	t.Parallel()
	o := newOwnIronic(t, "max_limit = 5") // so twelve nodes are three pages
	s := o.session(t)
	c, err := s.Metal(t.Context())
	do(t, err)
	c.Microversion = "1.80"
	glance, err := s.Images(t.Context())
	do(t, err)
	u := &user{operator: &operator{TB: t, c: c, ids: map[string]string{}}}
	u.build()
	t.Log("twelve nodes are there")
	name := "hostler-scenario-" + random()
	old := u.image(glance, name)
	u.settle(map[string]string{
		"hostler.conf": fmt.Sprintf(`
[director.metal]
scout = ironic
poll-spacing = 2s
directive-spacing = 2s
failure-pause = 10s
max-eject-fraction = 0.7
[director.metal.scout]
source = metal
[director.metal.strategy]
percentage-to-cache = 1
min-ready = 0.5
[director.metal.image ours]
name = ^%s$
latest-per = name
[director.metal.flavor small]
resource-class = small
[director.metal.flavor large]
resource-class = large
`, name),
		"sources/metal/source.conf": fmt.Sprintf(
			"type = ironic\nimage = %s\n[ironic]\ncloud = admin\nclouds-file = %s\nresource-class = large\ntraits = "+
				"CUSTOM_GPU\nuser = %s\n",
			name, o.clouds, "somebody",
		),
	})

	u.dryRun()
	u.share(old)
	began := time.Now()
	young := u.waves(o, glance, name, old)
	u.quarantine()
	u.lies(o)
	u.outage(o, young)
	u.hit(o, young)
	u.bare(o, metal.Image{ID: young, Name: name})
	if n := u.node("bm-09"); n.Extra.Hostler.Attempt != 3 {
		t.Errorf("what is in quarantine was written to again: %+v", n)
	}
	t.Logf("from the first image to the end %s", time.Since(began).Round(time.Second))
}

// dryRun says what would be done, and that is only with the nodes that are free; of the others it
// says why not.
func (u *user) dryRun() {
	u.Helper()
	before := u.all()
	var r round
	do(u, json.Unmarshal([]byte(u.hostler("director", "run", "--once", "--dry-run", "--json")), &r))
	var would []string
	for _, d := range r.Directives {
		if d.Result != "would" || d.Do != "cache" {
			u.Errorf("a dry run: %+v", d)
		}
		would = append(would, d.Name)
	}
	slices.Sort(would)
	if want := []string{"bm-03", "bm-04", "bm-05", "bm-06", "bm-11"}; !slices.Equal(would, want) {
		u.Errorf("a dry run would write %v, not the free ones %v", would, want)
	}
	others := map[string]string{
		"bm-00": "enroll", "bm-01": "enroll", "bm-02": "manageable", "bm-07": "active", "bm-08": "in maintenance",
		"bm-09": "deploy failed", "bm-10": "in maintenance",
	}
	text := u.hostler(append([]string{"director", "explain"}, slices.Sorted(maps.Keys(others))...)...)
	for name, why := range others {
		if !regexp.MustCompile("(?m)^" + name + ": decided: .*" + why).MatchString(text) {
			u.Errorf("%s is %s, and explain says: %s", name, why, text)
		}
	}
	for name, n := range u.all() {
		if n.Updated != before[name].Updated && n.Extra != before[name].Extra || n.State != before[name].State || n.Instance != "" {
			u.Errorf("a dry run changed %s: %+v, before %+v", name, n, before[name])
		}
	}
	u.Log("a dry run changed nothing")
}

// share has an operator give two more nodes, one of which fails at each deployment, and the
// director run until all that can be have the image.
func (u *user) share(image string) {
	u.Helper()
	u.provision("bm-02", "provide", "available")
	u.provision("bm-09", "deleted", "available")
	u.direct()
	u.until("four small nodes and two large ones are ready", func() (bool, any) {
		r := u.last()
		return r.ready("small", image) == 4 && r.ready("large", image) == 2, r
	})
	for _, name := range []string{"bm-02", "bm-03", "bm-04", "bm-05", "bm-06", "bm-11"} {
		if n := u.node(name); n.State != "active" || n.Extra.Hostler.Image != image ||
			!strings.HasPrefix(n.Extra.Hostler.HostKey, "ssh-ed25519 ") {
			u.Errorf("%s is ready: %+v", name, n)
		}
	}
	u.Log("a share is cached")
}

// waves has a new build of the image come, and in the middle an operator who puts a node into
// maintenance.
func (u *user) waves(o *ownIronic, glance *gophercloud.ServiceClient, name, old string) (young string) {
	u.Helper()
	_, from := u.since(0)
	young = u.image(glance, name)
	defer o.lie.Store(nil)
	u.until("a first node is ejected", func() (bool, any) {
		rounds, _ := u.since(from)
		return slices.ContainsFunc(rounds, func(r round) bool {
			return slices.ContainsFunc(r.Directives, func(d struct{ Do, Node, Name, Image, Result, Error string }) bool {
				return d.Do == "eject" && d.Result == "issued" && d.Name != "bm-09"
			})
		}), rounds
	})
	held := make(chan struct{})
	// nothing more is decided while the operator acts
	hold := func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v1/nodes" {
			select {
			case <-held:
			case <-r.Context().Done():
			}
		}
		return false
	}
	o.lie.Store(&hold)
	kept := ""
	for _, one := range []string{"bm-02", "bm-03", "bm-04", "bm-11"} {
		if n := u.node(one); n.State != "active" || n.Extra.Hostler.Image != old {
			continue
		}
		u.maintenance(one, true)
		// and not ejected at the same moment
		if n := u.node(one); n.State == "active" && n.Extra.Hostler.Image == old {
			kept = one
			break
		}
		u.maintenance(one, false)
	}
	if kept == "" {
		u.Fatalf("all small nodes were ejected in one wave: %+v", u.all())
	}
	_, middle := u.since(0)
	o.lie.Store(nil)
	close(held)
	u.until("the others have the new build", func() (bool, any) {
		r := u.last()
		return r.ready("small", young) == 3 && r.ready("large", young) == 2 && r.ready("", old) == 0, r
	})
	rounds, _ := u.since(from)
	for i, r := range rounds {
		least := 2 // of four
		if from+i >= middle {
			least = 1 // the operator took one more
		}
		if r.Suspended == "" && (r.ready("small", "") < least || r.ready("large", "") < 1) {
			u.Errorf("less than half was ready: %+v", r.Ready)
		}
		if r.Held != "" {
			u.Errorf("a wave was larger than the guard lets go: %s", r.Held)
		}
	}
	rounds, _ = u.since(middle + 1) // the one of that moment may have looked before
	for _, r := range rounds {
		for _, d := range r.Directives {
			if d.Name == kept && d.Result != "taken" {
				u.Errorf("a node in maintenance: %+v", d)
			}
		}
	}
	if n := u.node(kept); n.State != "active" || n.Extra.Hostler.Image != old {
		u.Errorf("a node in maintenance was touched: %+v", n)
	}
	u.maintenance(kept, false)
	u.until("the last one has it too", func() (bool, any) { r := u.last(); return r.ready("small", young) == 4, r })
	u.Log("a new build was rolled in waves")
	return young
}

// lies has Ironic say that there are no nodes, a few only, or half a page.
func (u *user) lies(o *ownIronic) {
	u.Helper()
	defer o.lie.Store(nil)
	for why, answer := range map[string]string{
		"there are no nodes": `{"nodes": []}`,
		"more than half have gone": fmt.Sprintf(
			`{"nodes": [{"uuid": %q, "resource_class": "small", "provision_state": "available"}]}`, u.ids["bm-03"],
		),
		"cannot be read": `{"nodes": [{"uuid": "`,
	} {
		lie := func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/v1/nodes" || r.URL.Query().Get("instance_uuid") != "" {
				return false
			}
			_, _ = io.WriteString(w, answer)
			return true
		}
		o.lie.Store(&lie)
		u.quiet(why, 2)
	}
	o.lie.Store(nil)
	u.until("it goes on", func() (bool, any) { r := u.last(); return r.Suspended == "" && len(r.Ready) > 0, r })
	u.Log("nothing was done by what cannot be")
}

// outage kills Ironic for a minute.
func (u *user) outage(o *ownIronic, image string) {
	u.Helper()
	before := u.all()
	_, from := u.since(0)
	o.stop()
	back := time.Now().Add(time.Minute)
	u.quiet("503", 1)
	time.Sleep(time.Until(back))
	o.start()
	u.until("all are ready as before", func() (bool, any) {
		r := u.last()
		return r.Suspended == "" && r.ready("small", image) == 4 && r.ready("large", image) == 2, r
	})
	rounds, _ := u.since(from)
	for _, r := range rounds {
		for _, d := range r.Directives {
			if d.Name != "bm-09" {
				u.Errorf("it did %+v", d)
			}
		}
	}
	for name, n := range u.all() {
		if name != "bm-09" && (n.State != before[name].State || n.Extra != before[name].Extra || n.Instance != before[name].Instance) {
			u.Errorf("%s was %+v, and is %+v", name, before[name], n)
		}
	}
	u.Log("a minute without Ironic changed nothing")
}

// quarantine waits for the third failure of the node that fails.
func (u *user) quarantine() {
	u.Helper()
	type explained struct {
		Name   string
		Flight *struct {
			State    string
			Failures int
			Error    string
		}
	}
	u.until("a node that failed three times is left alone", func() (bool, any) {
		var all []explained
		text := u.hostler("director", "explain", "--json")
		do(u, json.Unmarshal([]byte(text), &all))
		for _, e := range all {
			if e.Name == "bm-09" && e.Flight != nil && e.Flight.State == "quarantined" && e.Flight.Failures == 3 &&
				strings.Contains(e.Flight.Error, "was told to fail this deployment") {
				return true, nil
			}
		}
		return false, text
	})
	if text := u.hostler("events"); !strings.Contains(text, "quarantined") || !strings.Contains(text, "bm-09") {
		u.Errorf("the journal says nothing of it: %s", text)
	}
	n := u.node("bm-09")
	if n.Extra.Hostler.Attempt != 3 {
		u.Errorf("it was written to %d times", n.Extra.Hostler.Attempt)
	}
	u.Log("the node that fails is in quarantine")
}

// hit acquires the one large node that the source may take, on which the image is, uses it, and
// gives it back.
func (u *user) hit(o *ownIronic, image string) {
	u.Helper()
	const name = "bm-05"
	drive := o.drive(u, u.ids[name])
	host := newHost(u, drive)
	u.patch(name, map[string]any{"op": "add", "path": "/extra/address", "value": host.addr})
	before := u.node(name).Extra.Hostler.Attempt
	got := strings.TrimSpace(u.hostler("acquire", "-s", "metal", "--name", "mine"))
	n := u.node(name)
	if n.State != "active" || n.Power != "power on" || n.Instance == "" || n.Extra.Hostler.Instance != got ||
		n.Extra.Hostler.Image != image {
		u.Errorf("%s is %+v", got, n)
	}
	if again := o.drive(u, u.ids[name]); again.UserData != drive.UserData {
		u.Error("it was deployed anew")
	}
	if text := u.hostler("run", "mine", "--", "echo", "it", "runs"); text != "it runs\n" {
		u.Errorf("on it: %q", text)
	}
	if logins := host.logins.Load(); logins == 0 {
		u.Error("nobody logged in")
	}
	if text := u.hostler("status", "-v", "--json", "metal"); !strings.Contains(text, got) {
		u.Errorf("%s", text)
	}
	u.hostler("release", "mine")
	u.until("it was cleaned, and is ready again", func() (bool, any) {
		n := u.node(name)
		return n.State == "active" && n.Extra.Hostler.Instance == "" && n.Extra.Hostler.State == "cached" &&
				n.Extra.Hostler.Attempt > before && n.Instance == "",
			n
	})
	if again := o.drive(u, u.ids[name]); again.UserData == drive.UserData {
		u.Error("the next one has the same host key")
	}
	u.Log("a hit was acquired, used and given back")
}
