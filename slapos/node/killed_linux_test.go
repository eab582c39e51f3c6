package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/overview"
	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

const dieKey = "HOSTLER_NODE_DIE"

// death says how a process that is a node's dies: at the step with that number of a pass.
type death struct {
	Step                                    int
	Report                                  bool // it is a report pass
	Partition                               string
	URL, Socket, Root, Software, Keys, Pair string
}

// steps counts what a pass does that lasts, and ends the process before one of them.
type steps struct {
	at, n int
}

func (s *steps) step(what, name string) {
	switch what {
	case "append", "rotate": // logs
		return
	case "write", "mkdir", "link":
		// who dies when what is made has no name yet leaves all that who dies before leaves
		return
	}
	if s.n == s.at {
		fmt.Println(what, name)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	s.n++
}

// watched are a master and a supervisor to whom each call is a step, and the last one.
type watchedMaster struct {
	*slapclient.Client
	*steps
	pair string
	only string
}

func (m *watchedMaster) Certificate(context.Context, string, string) (*proto.Certificate, error) {
	return &proto.Certificate{Key: "key " + m.pair, Certificate: "certificate " + m.pair}, nil
}

// Computer is what the master says, for a report pass of the partition that it is of alone.
func (m *watchedMaster) Computer(ctx context.Context, id string) (*proto.Computer, error) {
	c, err := m.Client.Computer(ctx, id)
	if err == nil && m.only != "" {
		c.Partitions = slices.DeleteFunc(c.Partitions, func(p proto.Partition) bool { return p.ID != m.only })
	}
	return c, err
}

func (m *watchedMaster) ReportInstance(ctx context.Context, computer, partition, state string) (string, error) {
	m.step("report", state)
	return m.Client.ReportInstance(ctx, computer, partition, state)
}

func (m *watchedMaster) ReportUsage(ctx context.Context, computer string, journal []proto.Transaction) error {
	m.step("use", "")
	err := m.Client.ReportUsage(ctx, computer, journal)
	m.step("used", "")
	return err
}

func (m *watchedMaster) SetRelated(ctx context.Context, computer, partition string, titles []string) error {
	m.step("related", "")
	return m.Client.SetRelated(ctx, computer, partition, titles)
}

func (m *watchedMaster) Request(ctx context.Context, q *proto.Request) (*proto.Instance, error) {
	m.step("request", q.Title)
	return m.Client.Request(ctx, q)
}

func (m *watchedMaster) SetConnection(ctx context.Context, computer, partition, shared string, parameters proto.Dictionary) error {
	m.step("connection", "")
	return m.Client.SetConnection(ctx, computer, partition, shared, parameters)
}

type watchedSupervisor struct {
	*supervise.Client
	*steps
}

func (s *watchedSupervisor) Put(ctx context.Context, g supervise.Group) (bool, error) {
	s.step("put", g.Name)
	return s.Client.Put(ctx, g)
}

func (s *watchedSupervisor) Groups(ctx context.Context) ([]string, error) {
	s.step("groups", "")
	return s.Client.Groups(ctx)
}

func (s *watchedSupervisor) Start(ctx context.Context, names ...string) error {
	s.step("start", "")
	return s.Client.Start(ctx, names...)
}

func (s *watchedSupervisor) Remove(ctx context.Context, name string) error {
	s.step("stop", name)
	return s.Client.Remove(ctx, name)
}

// die is a node that makes a pass over one partition, as far as it is told. Its exit status is 0
// when it made the whole of it.
func die(text string) {
	var d death
	var client *slapclient.Client
	err := json.Unmarshal([]byte(text), &d)
	if err == nil {
		client, err = slapclient.New(slapclient.Options{URL: d.URL})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	s := &steps{at: d.Step}
	home.Step = s.step
	m, sup := &watchedMaster{Client: client, steps: s, pair: d.Pair}, &watchedSupervisor{supervise.NewClient(d.Socket), s}
	if err := d.pass(context.Background(), m, sup); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
}

// pass makes a pass of one of the kinds, be it to die or not.
func (d *death) pass(ctx context.Context, m *watchedMaster, sup *watchedSupervisor) error {
	if d.Report {
		m.only = d.Partition
		p := &report.Pass{Master: m, Supervisor: sup, Computer: nodetest.Computer, InstanceRoot: d.Root, Certificates: d.Keys}
		out, err := p.Run(ctx)
		if err == nil && out.Failed > 0 {
			err = fmt.Errorf("%d failed", out.Failed)
		}
		return err
	}
	a := &node.Agent{Master: m, Supervisor: sup, Config: node.Config{
		Computer: nodetest.Computer, MasterURL: d.URL, InstanceRoot: d.Root, SoftwareRoot: d.Software,
		Periodicity: 24 * time.Hour, Certificates: d.Keys,
		Keep: supervise.Again, Environ: []string{"PATH=/usr/bin:/bin"}, Limit: time.Minute,
	}}
	out, err := a.Instances(ctx, node.Options{Only: []string{d.Partition}})
	if err == nil && out.Status() != 0 {
		err = fmt.Errorf("%s", out.Report())
	}
	return err
}

// mortal is a lab whose passes are made by processes that die.
type mortal struct {
	*lab
	d death // what all have in common
}

func newMortal(t *testing.T, partitions int) *mortal {
	m := &mortal{lab: newLab(t, partitions)}
	m.d = death{
		URL: m.URL, Socket: filepath.Join(m.Work, "sv.sock"), Root: m.Root, Software: m.Software,
		Keys: filepath.Join(m.Work, "keys"), Pair: "1",
	}
	do(t, os.Mkdir(m.d.Keys, 0o755))
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- m.Supervisor.Serve(ctx, m.d.Socket) }()
	t.Cleanup(func() { cancel(); do(t, <-served) })
	return m
}

// kill has a process make a pass over a partition and die at a step, whose name it returns: "" when
// it had not so many.
func (m *mortal) kill(id string, at int) string {
	m.Helper()
	d := m.d
	d.Step, d.Partition = at, id
	text, err := json.Marshal(d)
	do(m, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), dieKey+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		return ""
	}
	if cmd.ProcessState.ExitCode() >= 0 {
		m.Fatalf("%s, %d: %v: %s", id, at, err, out)
	}
	return strings.TrimSpace(string(out))
}

// whole makes an undisturbed pass.
func (m *mortal) whole(id, what string) {
	m.Helper()
	d := m.d
	d.Partition = id
	s, sup := &steps{at: -1}, supervise.NewClient(d.Socket)
	defer sup.Close()
	if err := d.pass(m.Context(), &watchedMaster{Client: m.Client, steps: s, pair: d.Pair}, &watchedSupervisor{sup, s}); err != nil {
		m.Fatalf("%s: %v", what, err)
	}
}

// hoped is how often an instance has asked in vain for what others publish, and when last: one that
// was killed in between has asked once more.
var hoped = regexp.MustCompile(`,"(?:calm":\d+|at":"[^"]*")`)

var temporary = regexp.MustCompile(`\d{10}\.\d+|\d{19}`)

// picture is all that there is of a partition, in words that are the same for each: files, keys,
// what is remembered, programs, and what the master knows.
func (m *mortal) picture(id string) string {
	m.Helper()
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(strings.ReplaceAll(fmt.Sprintf(format, args...), id, "PARTITION") + "\n")
	}
	file := func(name, path string) {
		i, err := os.Lstat(path)
		if err != nil {
			line("%s: %v", name, err)
			return
		}
		text := ""
		switch st := i.Sys().(*syscall.Stat_t); {
		case i.Mode().IsRegular() && !strings.HasSuffix(name, ".log"):
			data, _ := os.ReadFile(path)
			text = temporary.ReplaceAllString(hoped.ReplaceAllString(string(data), ""), "STAMP")
			fallthrough
		default:
			whose := fmt.Sprint(st.Uid, ":", st.Gid)
			switch whose {
			case fmt.Sprint(m.User(id), ":", m.User(id)):
				whose = "the user's"
			case fmt.Sprint(os.Getuid(), ":", os.Getgid()):
				whose = "ours"
			}
			line("%s %s %s %q", name, i.Mode(), whose, text)
		}
	}
	do(m, filepath.WalkDir(m.At(id), func(path string, _ os.DirEntry, err error) error {
		if name, _ := filepath.Rel(m.Root, path); err == nil {
			file(name, path)
		}
		return err
	}))
	for _, dir := range []string{m.d.Keys, m.At("var/hostler/light")} {
		names, _ := os.ReadDir(dir)
		for _, e := range names {
			if strings.Contains(e.Name()+".", id+".") {
				file(e.Name(), filepath.Join(dir, e.Name()))
			}
		}
	}
	all, err := m.Supervisor.Status(m.Context())
	do(m, err)
	for _, s := range all {
		if s.Group == id {
			line("%s is %s, started %d times more", s.FullName(), s.State, s.Restarts)
		}
	}
	v, err := overview.Computer(m.Context(), m.lab.Rig.Master.Master, access.Anybody, nodetest.Computer)
	do(m, err)
	if in := v.At[id]; in != nil {
		said := in.Said
		line("the master has it %s, told %v", in.Record.State, said != nil && !said.Error)
	}
	c, err := m.Client.Computer(m.Context(), nodetest.Computer)
	do(m, err)
	for i := range c.Partitions {
		if p := &c.Partitions[i]; p.ID == id && p.Release != "" {
			line("the master knows of it %v", p.Connection)
			if stamp := m.Read(id, ".timestamp"); p.State != proto.Destroyed && stamp != p.Timestamp {
				line("its timestamp is %s and to be %s", stamp, p.Timestamp)
			}
		}
	}
	kids := []string{}
	for _, in := range v.At {
		if in.Record.Title == "kid of "+id {
			kids = append(kids, in.Record.State)
		}
	}
	slices.Sort(kids)
	line("its children are %v", kids)
	return b.String()
}

// TestKilledAtEachStep kills the node at each step of an instance's life that lasts: when it is
// made, changed, stopped and destroyed, and when what is left of it is removed. The next pass makes
// what an undisturbed one makes: nothing twice, nothing half, nothing lost. It takes as long as 200
// passes take, and 80 processes that die in theirs.
func TestKilledAtEachStep(t *testing.T) {
	const most, later = 26, 24 // partitions: more than there are steps when it is made, and then
	m := newMortal(t, 2*most)
	m.Light("/kid", "cat >input\n")
	m.Light("/r", `read -r in; v=${in#*'"v":"'}; v=${v%%'"'*}; echo "$v" >v
mkdir -p etc/run etc/service sbin
printf '#!/bin/sh\nexec sleep 1000\n' >etc/service/srv
printf "#!/bin/sh\nexec sleep 100$v\n" >etc/run/job
printf '#!/bin/sh\nmkdir -p ro/in; chmod 500 ro ro/in\n' >sbin/destroy
chmod 755 etc/run/job etc/service/srv sbin/destroy
echo "{\"connection\":{\"v\":\"$v\"},\"request\":[{\"title\":\"kid of ${PWD##*/}\",\"software_release\":\"/kid\"}]}"
`)
	ids := nodetest.IDs(most)
	ask := func(state, v string) {
		for _, id := range ids { // each is placed in the partition of its name
			m.ask("root of "+id, "/r", state, proto.Dictionary{"v": v})
		}
	}
	phase := func(name string, least int) {
		t.Helper()
		want := ""
		var done []string
		for i, id := range ids {
			if i > 0 && len(done) == i-1 {
				if step := m.kill(id, i-1); step != "" {
					done = append(done, step)
				}
			}
			what := name
			if i > 0 && len(done) == i {
				what += ", after it was killed before: " + done[i-1]
			}
			m.whole(id, what)
			if got := m.picture(id); i == 0 {
				want = got
			} else if got != want {
				t.Errorf("%s: there is\n%s\nand is to be\n%s", what, got, want)
			}
		}
		t.Logf("%s: %d deaths, before: %s", name, len(done), strings.Join(done, ", "))
		if len(done) < least || len(done) == len(ids)-1 {
			t.Errorf("%s: it died %d times: at each step?", name, len(done))
		}
	}
	ask(proto.Started, "1")
	phase("made", 20)
	ids = ids[:later]
	m.d.Pair = "2"
	ask(proto.Started, "2")
	phase("changed", 10)
	ask(proto.Destroyed, "2")
	phase("stopped", 10) // as long as it has a child
	c, err := m.Client.Computer(t.Context(), nodetest.Computer)
	do(t, err)
	for _, p := range c.Partitions {
		if strings.HasPrefix(p.Title, "kid of ") {
			_, err := m.Client.ReportInstance(t.Context(), nodetest.Computer, p.ID, proto.Destroyed)
			do(t, err)
		}
	}
	phase("destroyed", 5)
	m.d.Report = true
	var want []string
	for i, id := range ids {
		n := strconv.Itoa(i)
		m.Put(
			id, "var/xml_report/x",
			"<consumption><movement><resource>cpu</resource><title/><reference/><quantity>"+n+"</quantity><price/><VAT/><category/></movement></consumption>",
			0o640,
		)
		want = append(want, "cpu of "+id+" is "+n)
	}
	phase("removed", 16)
	used := m.Used(nodetest.Computer)
	slices.Sort(used)
	slices.Sort(want)
	if d := cmp.Diff(want, used); d != "" {
		t.Errorf("what was used is not told once: %s", d)
	}
	if left, err := os.ReadDir(m.At("var/hostler/usage")); err != nil || len(left) > 0 {
		t.Errorf("what is being told: %v, %v", left, err)
	}
}
