package nodetest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/slaptest"
)

// recipeOf says to this program that it is what buildout runs in a partition: the recipe of the
// release that the recordings have.
const recipeOf = "HOSTLER_TEST_RECIPE"

func TestMain(m *testing.M) {
	if os.Getenv(recipeOf) != "" {
		if err := recipe(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// recipe asks the master, as the instance, for what it is told and for a child, says where it is,
// and leaves programs.
func recipe() error {
	profile, err := os.ReadFile("buildout.cfg")
	if err != nil {
		return err
	}
	said := map[string]string{}
	for line := range strings.Lines(string(profile)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			said[key] = value
		}
	}
	ctx, computer, id := context.Background(), said["computer-id"], said["partition-id"]
	c, err := client.New(client.Options{URL: said["server-url"]})
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.Partition(ctx, computer, id)
	if err != nil {
		return err
	}
	if why, ok := p.Parameters["fail"]; ok {
		return fmt.Errorf("asked to fail: %v", why)
	}
	if p.Parameters["child"] != nil {
		title := "child of " + p.Title
		if err := os.WriteFile(
			os.Getenv("SLAPGRID_INSTANCE_ROOT")+"/"+id+"/.slapos-request-transaction-"+id, []byte(title+"\n"), 0o640,
		); err != nil {
			return err
		}
		if _, err := c.Request(
			ctx,
			&proto.Request{
				Computer: computer, Partition: id, Release: p.Release, Type: "default", Title: title,
				Parameters: proto.Dictionary{"x": "1"}, Filter: proto.Dictionary{},
			},
		); err != nil && !errors.Is(err, client.ErrNotReady) {
			return err
		}
	}
	for _, at := range p.Addresses {
		if strings.Contains(at.IP, ":") {
			if err := c.SetConnection(ctx, computer, id, "", proto.Dictionary{"url": "http://[" + at.IP + "]:8080/"}); err != nil {
				return err
			}
		}
	}
	for name, text := range map[string]string{
		"etc/service/server":    "#!/bin/sh\nexec sleep 1000\n",
		"etc/promise/legacy-ok": "#!/bin/sh\necho legacy promise fine\n[ ! -e fail ]\n",
		"etc/report/usage":      "#!/bin/sh\necho '<consumption><movement><resource>cpu</resource><title>t</title><reference>x</reference><quantity>42.42</quantity><price>0.00</price><VAT/><category/></movement></consumption>' >\"$1\"\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o750), os.WriteFile(name, []byte(text), 0o750)); err != nil {
			return err
		}
	}
	return nil
}

// player is the reference's master, as it was recorded: it answers what it answered then, when it
// is asked what it was asked.
type player struct {
	t    *testing.T
	here *strings.Replacer // the recordings' paths to those of this node
	then *strings.Replacer // and back

	mu   sync.Mutex
	step string
	next []*slaptest.Exchange
	bad  bool
}

// well are the partitions of which the reference told in a step that all is well, as it does each
// time where the master does not say what it heard, though no promise was due. Ours tells such a
// master when one was asked: a pass over a hundred partitions in which none was due would tell it a
// hundred times what it knows.
var well = map[string][]string{
	"g07": {"slappart0"}, "g14": {"slappart1"}, "g16": {"slappart1"}, "g17": {"slappart1"}, "g20": {"slappart1"},
	"g20b": {"slappart1"}, "g21": {"slappart1"},
}

// told says that a call is one of those.
func told(e *slaptest.Exchange) bool {
	step, _, _ := strings.Cut(e.Step, "-")
	return e.Path == "/startedComputerPartition" && slices.Contains(well[step], e.Form().Get("computer_partition_id"))
}

// unasked are calls of the recordings that no pass of ours makes, and why.
func unasked(e *slaptest.Exchange) bool {
	f := e.Form()
	// the reference's client asks at each connection, ours when it wants the hypermedia API
	return told(e) || strings.HasPrefix(e.Path, "/getHateoasUrl") ||
		// the command of a user, between the passes
		strings.HasPrefix(e.Path, "/requestComputerPartition") && !f.Has("computer_id")
}

// begin is a step of the recordings: what is asked next is of it.
func (p *player) begin(step string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.next, p.bad = step, nil, false
	also := 0
	for _, e := range slaptest.Exchanges(p.t, "node") {
		if short, _, _ := strings.Cut(e.Step, "-"); short != step {
			continue
		}
		if told(e) {
			also++
		}
		if !unasked(e) {
			p.next = append(p.next, e)
		}
	}
	if also != len(well[step]) {
		p.t.Errorf("%s: the reference told %d times that all is well; want %d", step, also, len(well[step]))
	}
	if len(p.next) == 0 {
		p.t.Fatalf("there is no step %s", step)
	}
}

// end fails the test where something of the step was not asked.
func (p *player) end() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.next {
		p.t.Errorf("%s is not asked", e.Name())
	}
	p.next = nil
}

// meaning is what a call asks: the name, and the fields that do not differ with the place and the
// time.
func (p *player) meaning(path string, form url.Values) string {
	path, query, _ := strings.Cut(path, "?")
	fields, _ := url.ParseQuery(query)
	for name, values := range form {
		switch name {
		case "use_string": // node/report has a test of it
			continue
		case "error_log": // the recordings have its beginning
			values = []string{values[0][:min(len(values[0]), 59)]}
		case "slave_reference":
			if values[0] == "None" { // a null, in the words of old clients
				continue
			}
		}
		fields[name] = values
	}
	return path + "?" + fields.Encode()
}

func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, values := range r.PostForm {
		values[0] = p.then.Replace(values[0])
	}
	got := p.meaning(r.URL.RequestURI(), r.PostForm)
	if len(p.next) == 0 || p.bad {
		p.t.Errorf("%s: more is asked: %s", p.step, got)
		http.Error(w, "nothing more", http.StatusTeapot)
		return
	}
	e := p.next[0]
	if want := p.meaning(e.Path, e.Form()); got != want {
		p.t.Errorf("%s: asked is\n%s\nand was\n%s", e.Name(), got, want)
		p.bad = true
		http.Error(w, "not as it was recorded", http.StatusTeapot)
		return
	}
	p.next = p.next[1:]
	w.WriteHeader(e.Status)
	_, _ = w.Write([]byte(p.here.Replace(e.Answer)))
}

// buildoutStub stands for buildout, of which nothing is tested here: it makes the release that the
// recordings have.
const buildoutStub = `#!/bin/sh -e
for word; do case $word in buildout:directory=*) dir=${word#*=};; bootstrap) bootstrap=yes;; esac; done
umask 022
[ -n "$dir" ] || exec env ` + recipeOf + `=yes WORK/recipe
mkdir -p $dir/bin
if [ -n "$bootstrap" ]; then cp $0 $dir/bin/buildout; else printf '[buildout]\nparts =\n' >$dir/instance.cfg; fi
`

// TestRecorded has our passes live the life that the reference's node had in the recordings: the
// reference's master is asked what it was asked then, in the same order, and what it answers leaves
// the node as it left that one. What differs is in unasked and meaning.
func TestRecorded(t *testing.T) {
	const computer = "COMP-LAB"
	n := nodetest.NewNode(t, "slappart0", "slappart1", "slappart2")
	release := n.Work + "/profiles/demo/software.cfg"
	p := &player{
		t: t, here: strings.NewReplacer("/srv/profiles", n.Work+"/profiles"),
		then: strings.NewReplacer(n.Root, "/srv/slapgrid", n.Work+"/profiles", "/srv/profiles"),
	}
	w := nodetest.NewWire(t, p, nil)
	self, err := os.ReadFile("/proc/self/exe")
	nodetest.Do(
		t, err, os.MkdirAll(filepath.Dir(release), 0o755), os.WriteFile(release, nil, 0o644),
		os.WriteFile(n.Work+"/recipe", self, 0o755),
		os.WriteFile(n.Work+"/buildout", []byte(strings.ReplaceAll(buildoutStub, "WORK", n.Work)), 0o755),
	)
	if os.Getuid() == 0 {
		nodetest.Do(t, os.Chown(n.Software, nodetest.FirstUser-1, nodetest.FirstUser-1))
	}

	dog := &node.Watchdog{
		Computer: computer, InstanceRoot: n.Root, Log: slog.New(slog.DiscardHandler),
		Ask: func(string) (node.Banger, func(), error) { return w.Client, func() {}, nil },
	}
	nodetest.Do(t, n.Supervisor.Close())
	n.Supervision.Event = dog.Event
	n.Supervise()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { dog.Run(ctx) })
	defer wg.Wait()
	defer cancel()

	log := func(line string) { n.Note("%s", line) }
	builder := &software.Builder{Root: n.Software, Buildout: n.Work + "/buildout", Environ: os.Environ(), Log: log}
	promises := &promise.Node{Computer: computer, MasterURL: w.URL, InstanceRoot: n.Root, Release: builder.Dir, Version: "1", Log: log}
	agent := &node.Agent{Master: w.Client, Supervisor: n.Supervisor, Say: n.Note, Warn: n.Note,
		Config: node.Config{
			Computer: computer, MasterURL: w.URL, InstanceRoot: n.Root, SoftwareRoot: n.Software,
			Periodicity: 24 * time.Hour, Keep: supervise.Watched, Environ: os.Environ(), Limit: time.Minute,
		},
		Promises: func(ctx context.Context, pl *node.PartitionDir, mode promise.Mode) (bool, error) {
			r := promise.Runner{
				Dir: pl.Home, Software: pl.Release, Env: runas.Environ(os.Environ(), pl.Home),
				Config: promise.Config{Master: w.URL, Computer: computer, Partition: pl.ID},
			}
			results, err := r.Run(ctx, mode, mode == promise.Test)
			return promise.AnyNew(results), errors.Join(err, promise.Failed(results))
		}}
	reporter := &report.Pass{
		Master: w.Client, Supervisor: n.Supervisor, Computer: computer, InstanceRoot: n.Root, Timeout: time.Minute,
		Log: log,
	}

	instances := func(status int) {
		t.Helper()
		out, err := agent.Instances(t.Context(), node.Options{})
		if err != nil || out.Status() != status {
			t.Fatalf("%s: status %d, %v; want %d\n%s\n%s", p.step, out.Status(), err, status, out.Report(), n.Said())
		}
	}
	releases := func() {
		t.Helper()
		c, err := w.Client.Computer(t.Context(), computer)
		nodetest.Do(t, err)
		if failed, err := builder.Pass(t.Context(), w.Client, c, software.PassOptions{}); err != nil || len(failed) > 0 {
			t.Fatalf(
				"p.step = %v, failed = %v, err = %v, n.Said() = %v"+
					"; want no error and len(failed) <= 0",
				p.step, failed, err, n.Said(),
			)
		}
	}
	reports := func(failed int) {
		t.Helper()
		if out, err := reporter.Run(t.Context()); err != nil || out.Failed != failed {
			t.Fatalf("%s: out = %+v, err = %v\nn.Said() = %s; want no error and out.Failed == failed", p.step, out, err, n.Said())
		}
	}
	for _, s := range []struct {
		step   string
		do     func()
		stamps [2]string // of the first two partitions, afterwards
	}{
		{"g04", func() { instances(1) }, [2]string{}},
		{"g05", releases, [2]string{}},
		{"g06", func() { instances(0) }, [2]string{"1795158671.4143586"}},
		{"g07", func() { instances(0) }, [2]string{"1795158671.4143586", "1795158706.1243858"}},
		{"g13b", func() {
			nodetest.Do(
				t, n.Supervisor.Stop(t.Context(), "slappart0:server-on-watch"),
				n.Supervisor.Start(t.Context(), "slappart0:server-on-watch"),
			)
			nodetest.Do(t, kill(n.State("slappart0:server-on-watch").PID))
			nodetest.Until(
				t, "the bang",
				func() bool { return n.Read("slappart0", ".slapos_latest_bang_timestamp") == "1795158671.4143586" },
			)
		}, [2]string{"1795158671.4143586", "1795158706.1243858"}},
		{"g13c", func() { instances(0) }, [2]string{"1795158764.3603776", "1795158764.3603776"}},
		{"g14", func() { // there the file was taken away
			n.Put("slappart0", "fail", "", 0o640)
			nodetest.Do(t, os.Remove(n.At("slappart0/.timestamp")))
			instances(2)
		}, [2]string{"", "1795158764.3603776"}},
		{"g15", func() {
			if found, err := promises.Check(t.Context(), w.Client, nil); err != nil || len(found) != 1 ||
				found[0].Err.Error() != "Promise 'legacy-ok' failed with output: legacy promise fine" {
				t.Errorf(
					"found = %v, err = %v"+
						`; want no error and len(found) == 1 and found[0].Err.Error() == "Promise 'legacy-ok' `+
						`failed with output: legacy promise fine"`,
					found, err,
				)
			}
		}, [2]string{"", "1795158764.3603776"}},
		{"g16", func() {
			nodetest.Do(t, os.Remove(n.At("slappart0/fail")))
			instances(0)
		}, [2]string{"1795158764.3603776", "1795158764.3603776"}},
		{"g17", func() { instances(1) }, [2]string{"", "1795158764.3603776"}},
		{"g18", func() { reports(0) }, [2]string{"", "1795158764.3603776"}},
		{"g19", func() { nodetest.Do(t, w.Client.Bang(t.Context(), computer, "", "hello bang")) }, [2]string{"", "1795158764.3603776"}},
		{"g20", func() { instances(0) }, [2]string{"1795159057.5962667", "1795158764.3603776"}},
		{"g20b", func() { instances(0) }, [2]string{"1795159118.7209513", "1795158764.3603776"}},
		{"g21", func() { instances(0) }, [2]string{"1795159192.662613", "1795158764.3603776"}},
		{"g22", func() { reports(0) }, [2]string{"", "1795158764.3603776"}},
		{"g23", func() { reports(0) }, [2]string{}},
		{"g24", func() { reports(0) }, [2]string{}},
		{"g26", releases, [2]string{}},
	} {
		n.Hush()
		p.begin(s.step)
		s.do()
		p.end()
		got := [2]string{n.Read("slappart0", ".timestamp"), n.Read("slappart1", ".timestamp")}
		if d := cmp.Diff(s.stamps, got); d != "" {
			t.Errorf("%s leaves the timestamps: %s", s.step, d)
		}
		if t.Failed() {
			t.Fatal(n.Said())
		}
		switch s.step {
		case "g04":
			if !strings.Contains(n.Read("slappart0", ".slapgrid-slappart0-error.log"), "is not present on system.") {
				t.Error("the error's file lacks its reason")
			}
		case "g07", "g13c", "g16", "g20b":
			for _, id := range []string{"slappart0", "slappart1"} {
				if to, err := os.Readlink(n.At(id, "software_release")); n.State(id+":server-on-watch").State != supervise.Running ||
					err != nil || to != builder.Dir(release) {
					t.Errorf(
						`%s: n.State(id + ":server-on-watch") = %+v, to = %s, err = %v`+
							`; want n.State(id+":server-on-watch").State == supervise.Running and no error and to == `+
							"builder.Dir(release)",
						id, n.State(id+":server-on-watch"), to, err,
					)
				}
			}
		case "g20", "g21":
			if n.State("slappart0:server-on-watch").PID != 0 || n.State("slappart1:server-on-watch").State != supervise.Running {
				t.Errorf(
					`n.State("slappart0:server-on-watch") = %+v`+
						`; want n.State("slappart0:server-on-watch").PID == 0 and `+
						`n.State("slappart1:server-on-watch").State == supervise.Running`,
					n.State("slappart0:server-on-watch"),
				)
			}
		case "g24":
			for _, id := range []string{"slappart0", "slappart1"} {
				if left, err := os.ReadDir(n.At(id)); err != nil || len(left) > 0 {
					t.Errorf("in %s is %v, %v", id, left, err)
				}
			}
		case "g26":
			if left, err := os.ReadDir(n.Software); err != nil || len(left) > 0 {
				t.Errorf("left = %v, err = %v; want no error and len(left) <= 0", left, err)
			}
		}
	}
}

func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
