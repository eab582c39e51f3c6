package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli/slaposcmd/nodecmd"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/overview"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/service"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

// slaposLife is a computer and its master, and what is asked of them there: two instances and a
// shared one.
type slaposLife struct {
	*slaposMachine
	master *nodetest.Master
	built  string // the release that buildout makes
	light  string // and the one that needs none
}

const (
	lifeComputer = nodetest.Computer
	lifeWeb      = "inst/slappart0" // buildout's
	lifeApp      = "inst/slappart1" // of the lighter kind
)

// lifeAppProgram says what it was told in its service, fails the promise when it is told so, and is
// whole again after a crash when it was processed. A service's name says what is in it, as with
// SlapOS: what is the same to its supervisor runs on.
const lifeAppProgram = `#!/bin/sh
told=$(cat)
value() { v=${told#*\"$1\":\"}; [ "$v" != "$told" ] && echo "${v%%\"*}" || echo "$2"; }
color=$(value color none) promise=$(value promise good)
rm -f crash
mkdir -p etc/service etc/promise etc/report
rm -f etc/service/srv-*
cat >etc/service/srv-$color <<END
#!/bin/sh
[ ! -e crash ] || exit 7
echo $color >color
trap 'exit 0' TERM
while :; do sleep 3600 & wait \$!; done
END
printf '#!/bin/sh\n[ ! -e spoilt ] || { echo it is spoilt; exit 1; }\necho it is %s; [ %s = good ]\n' $promise $promise >etc/promise/good.new
printf '#!/bin/sh\necho "<consumption><movement><resource>water</resource><title>t</title><reference>x</reference><quantity>7</quantity><price>0.00</price><VAT/><category/></movement></consumption>" >"$1"\n' >etc/report/water.new
for f in promise/good report/water; do mv etc/$f.new etc/$f; done
chmod 700 etc/*/*
case $told in *'"reference":"'*) reference=$(value reference); shared=",\"shared\":{\"$reference\":{\"at\":\"$color\"}}";; esac
echo "{\"connection\":{\"color\":\"$color\"}$shared}"
`

// newSlaposLife has a computer with a master. more are lines of its [slapformat] and [slapos],
// which is the last section.
func newSlaposLife(t *testing.T, uid int, more string) *slaposLife {
	t.Helper()
	l := &slaposLife{slaposMachine: newSlaposMachine(t, uid)}
	l.master = nodetest.NewMaster(t, l.listen())
	l.light = l.dir + "/app"
	buildout := computetest.Lab{Set: "cmd", Net: 91}.Run(t, "buildout", "up")
	l.built = buildout["software"]
	l.write("app/instance", lifeAppProgram, 0o755)
	l.write("slapos.cfg", fmt.Sprintf(`[slapformat]
computer_xml = %[3]s/slapos.xml
partition_amount = 10
[slapos]
computer_id = %[1]s
master_url = %[2]s
instance_root = %[3]s/inst
software_root = %[3]s/soft
pidfile = %[3]s/pid
buildout = %[4]s
software_min_free_space = 1M
instance_min_free_space = 1M
`, lifeComputer, l.master.URL, l.dir, buildout["buildout"])+more, 0o644)
	return l
}

// service is what `slapos service info` prints of an instance.
type lifeService struct {
	State      string            `json:"requested-state"`
	Shared     bool              `json:"shared"`
	Connection map[string]string `json:"connection-parameters"`
}

func (l *slaposLife) service(title string) (v lifeService) {
	l.t.Helper()
	out, err := l.command("hostler", "slapos", "service", "info", title).Output()
	nodetest.Do(l.t, err, json.Unmarshal(out, &v))
	return v
}

// connected fails the test where an instance's connection lacks a value.
func (l *slaposLife) connected(title, key, want string) {
	l.t.Helper()
	if v := l.service(title); v.Connection[key] != want {
		l.t.Errorf("%s of %s is %q and is to be %q: %+v", key, title, v.Connection[key], want, v)
	}
}

// pass has a pass made, and fails the test where the master is told something else by it than the
// calls.
func (l *slaposLife) pass(status int, kind string, told ...string) string {
	l.t.Helper()
	l.master.Forget()
	said := l.slapos(status, append([]string{"node"}, strings.Fields(kind)...)...)
	calls := []string{}
	for _, call := range strings.Split(l.master.Told(), ", ") {
		if call != "" && call != nodereport.Method {
			calls = append(calls, call)
		}
	}
	if !slices.Equal(calls, told) {
		l.t.Fatalf("%s: the master was told\n%q\nand is to be told\n%q\n%s", kind, calls, told, said)
	}
	return said
}

// running is the PID of a program that runs.
func (l *slaposLife) running(name string) string {
	l.t.Helper()
	state, pid, _ := strings.Cut(l.programs()[name], " ")
	if state != "RUNNING" {
		l.t.Errorf("%s is %s", name, state)
	}
	return pid
}

// nothing is left at the end.
func (l *slaposLife) nothing() {
	l.t.Helper()
	l.run(0, "sh", "-c", "set -e; p=$(cat inst/var/run/supervisord.pid); kill $p; while kill -0 $p 2>/dev/null; do sleep 0.01; done")
	if left := l.processes(); len(left) > 0 {
		l.t.Errorf("these run still: %q\n%s", left, l.read("inst/var/log/supervisord.log"))
	}
	for i := range 10 {
		if left := l.files(fmt.Sprint("inst/slappart", i)); len(left) > 0 && !slices.Equal(left, []string{".slapos-resource"}) {
			l.t.Errorf("in partition %d is %q", i, left)
		}
	}
	if entries, err := os.ReadDir(l.at("inst/slappart0")); err != nil || len(entries) > 0 {
		l.t.Errorf("in partition 0 is %v, %v", entries, err)
	}
	for _, dir := range []string{"soft", "tmp"} {
		if entries, err := os.ReadDir(l.at(dir)); err != nil || len(entries) > 0 {
			l.t.Errorf("in %s is %v, %v", dir, entries, err)
		}
	}
	for _, name := range []string{"pid", "inst/sv.sock"} {
		if _, err := os.Lstat(l.at(name)); err == nil {
			l.t.Errorf("%s is there still", name)
		}
	}
	if left := slices.DeleteFunc(l.files("inst/var"), func(name string) bool {
		return strings.HasPrefix(name, "log/supervisord.log") || strings.HasPrefix(name, "hostler/supervisor/") ||
			name == "hostler/told.json"
	}); len(left) > 0 {
		l.t.Errorf("in the node's own directory is %q", left)
	}
	v, err := overview.Computer(l.t.Context(), l.master.Master, access.Anybody, lifeComputer)
	nodetest.Do(l.t, err)
	if len(v.At) > 0 || len(v.Supplied) > 0 {
		l.t.Errorf("the master has %v and %v", v.At, v.Supplied)
	}
}

// TestSlaposLife has whole lives: ten partitions, two releases, two instances and a shared one,
// from the first to the last command.
func TestSlaposLife(t *testing.T) {
	var release string // what buildout made for the first
	t.Run("root", func(t *testing.T) { slaposLifeOfRoot(t, &release) })
	if release != "" {
		defer os.RemoveAll(filepath.Dir(release))
	}
	t.Run("ordinary", func(t *testing.T) { slaposLifeOfAnybody(t, release) })
}

// slaposLifeOfRoot is by the passes, each one's command, with users and interfaces for the
// partitions.
func slaposLifeOfRoot(t *testing.T, release *string) {
	if os.Getuid() != 0 {
		if os.Getenv("HOSTLER_REQUIRE_LAB") == "1" {
			t.Fatal("users and interfaces are made by root, and this is not")
		}
		t.Skip("users and interfaces are made by root, and this is not")
	}
	l := newSlaposLife(t, 0, "interface_name = lab0\nipv4_local_network = 10.77.0.0/16\n")
	l.pass(0, "format --now", "loadComputerConfigurationFromXML")
	users := map[int]bool{}
	for i := range 10 {
		users[l.owner(fmt.Sprint("inst/slappart", i))] = true
		if out := l.run(0, "ip", "-o", "link", "show", "dev", fmt.Sprint("slaptap", i)); !strings.Contains(out, "UP") {
			t.Errorf(`out = %s; want out with "UP"`, out)
		}
	}
	if len(users) != 10 || users[0] {
		t.Errorf("the users of ten partitions are %v", users)
	}

	l.slapos(0, "supply", l.built, lifeComputer)
	l.slapos(0, "supply", l.light, lifeComputer)
	l.pass(0, "software", "buildingSoftwareRelease", "availableSoftwareRelease", "buildingSoftwareRelease", "availableSoftwareRelease")
	built, err := filepath.Glob(l.at("soft/*/libexec/server"))
	if err != nil || len(built) != 1 {
		t.Fatalf("buildout left %q, %v", built, err)
	}
	keep, err := os.MkdirTemp("", "hostler-life-")
	nodetest.Do(t, err)
	*release = filepath.Join(keep, "soft")
	if out, err := exec.Command("cp", "-a", l.at("soft"), *release).CombinedOutput(); err != nil {
		t.Fatalf("err = %v, out = %s; want no error", err, string(out))
	}

	// The shared instance waits for the one that hosts it.
	request := func(status int, title, release string, more ...string) {
		t.Helper()
		l.slapos(status, append([]string{"request", title, release}, more...)...)
	}
	request(0, "web", l.built, "--force-serialisation", "xml", "--parameters", "text=one")
	request(0, "app", l.light, "--parameters", "color=red")
	request(0, "part", l.built, "--slave", "--force-serialisation", "xml")
	web, app := "slappart0", "slappart1"
	l.pass(0, "instance", "setComputerPartitionConnectionXml "+web, "setComputerPartitionConnectionXml "+web,
		"startedComputerPartition "+web, "updateComputerPartitionRelatedInstanceList "+web,
		"setComputerPartitionConnectionXml "+app, "startedComputerPartition "+app, "updateComputerPartitionRelatedInstanceList "+app)
	l.connected("web", "text", "one")
	l.connected("app", "color", "red")
	url := l.service("web").Connection["url"]
	if !strings.HasPrefix(url, "http://[2001:db8:77::2]:") {
		t.Errorf("web is at %q", url)
	}
	l.connected("part", "url", url+"_part")
	first := map[string]string{"slappart0:server-on-watch": "", "slappart1:srv-red-on-watch": ""}
	for name := range first {
		pid := l.running(name)
		first[name] = pid
		id, _, _ := strings.Cut(name, ":")
		if uid := l.owner("inst", id); uid == 0 || l.run(0, "stat", "-c", "%u", "/proc/"+pid) != strconv.Itoa(uid)+"\n" {
			t.Errorf("%s runs as another than %d", name, uid)
		}
	}
	l.until("etc/run", func() bool { return l.read(lifeWeb, "var/once") != "" })
	l.pass(0, "instance")

	// Other parameters, of the one at once and of the other when it is stopped below: each time
	// that buildout processes an instance takes seconds.
	request(0, "app", l.light, "--parameters", "color=blue")
	appDone := []string{"startedComputerPartition " + app, "updateComputerPartitionRelatedInstanceList " + app}
	l.pass(0, "instance", append([]string{"setComputerPartitionConnectionXml " + app}, appDone...)...)
	l.connected("app", "color", "blue")
	l.running("slappart1:srv-blue-on-watch")
	l.until("the other color", func() bool { return l.read(lifeApp, "color") == "blue\n" })

	// Promises fail, and recover.
	l.write(lifeApp+"/spoilt", "", 0o644)
	l.write(lifeWeb+"/var/fail", "", 0o644)
	if said := l.pass(2, "promise"); !strings.Contains(
		said, "slappart0[default]: Promise 'not-failing' failed with output: var/fail is there",
	) ||
		!strings.Contains(said, "slappart1[default]: Promise 'good' failed with output: it is spoilt") {
		t.Errorf("said = %s", said)
	}
	l.pass(2, "instance --force --only-cp slappart1", "softwareInstanceError "+app)
	if why := l.master.Trouble(lifeComputer, app); !strings.HasSuffix(why, "failed with output: it is spoilt") {
		t.Errorf("of app the master knows %q", why)
	}
	l.running("slappart1:srv-blue-on-watch")
	nodetest.Do(t, os.Remove(l.at(lifeApp, "spoilt")), os.Remove(l.at(lifeWeb, "var/fail")))
	l.pass(0, "promise")
	l.pass(0, "instance --only-cp slappart1", appDone...)
	if why := l.master.Trouble(lifeComputer, app); why != "" {
		t.Errorf("of app the master knows %q still", why)
	}

	// A program that is killed is there again; one that does not stay has its tree processed, which
	// mends it here.
	was := l.running("slappart1:srv-blue-on-watch")
	l.run(0, "kill", "-9", was)
	l.until("another one", func() bool {
		now := l.programs()["slappart1:srv-blue-on-watch"]
		return strings.HasPrefix(now, "RUNNING") && now != "RUNNING "+was
	})
	l.pass(0, "instance")
	l.master.Forget()
	l.write(lifeApp+"/crash", "", 0o644)
	l.run(0, "kill", "-9", l.running("slappart1:srv-blue-on-watch"))
	l.until("a bang", func() bool { return strings.Contains(l.master.Told(), "softwareInstanceBang "+app) })
	l.until("its stamp", func() bool { return l.read(lifeApp, ".slapos_latest_bang_timestamp") == l.read(lifeApp, ".timestamp") })
	l.pass(0, "instance", appDone...)
	l.until("the program", func() bool { return strings.HasPrefix(l.programs()["slappart1:srv-blue-on-watch"], "RUNNING") })

	l.pass(0, "bang -m again", "computerBang")
	l.pass(0, "report", "useComputer")
	used := l.master.Used(lifeComputer)
	slices.Sort(used)
	if !slices.Equal(used, []string{"CPU Consumption of slappart0 is 1.5", "water of slappart1 is 7"}) {
		t.Errorf("the master was told of %q", used)
	}

	request(0, "web", l.built, "--force-serialisation", "xml", "--parameters", "text=two", "--state", "stopped")
	request(0, "app", l.light, "--parameters", "color=blue", "--state", "stopped")
	l.pass(0, "instance", "setComputerPartitionConnectionXml "+web, "setComputerPartitionConnectionXml "+web,
		"stoppedComputerPartition "+web, "updateComputerPartitionRelatedInstanceList "+web,
		"stoppedComputerPartition "+app, "updateComputerPartitionRelatedInstanceList "+app)
	l.connected("web", "text", "two")
	if left := l.programs(); len(left) > 0 || l.service("web").State != "stopped" {
		t.Errorf("all are stopped, and %v", left)
	}
	request(0, "app", l.light, "--parameters", "color=blue", "--state", "started")
	l.pass(0, "instance", appDone...)
	l.running("slappart1:srv-blue-on-watch")

	// The end: the shared one first, as its host goes with it.
	request(0, "part", l.built, "--slave", "--force-serialisation", "xml", "--state", "destroyed")
	request(0, "web", l.built, "--state", "destroyed")
	request(0, "app", l.light, "--state", "destroyed")
	l.pass(0, "instance", "stoppedComputerPartition "+web, "stoppedComputerPartition "+app)
	if left := l.programs(); len(left) > 0 {
		t.Errorf("left = %v; want len(left) <= 0", left)
	}
	l.pass(
		0, "report", "useComputer", "stoppedComputerPartition "+web, "destroyedComputerPartition "+web,
		"stoppedComputerPartition "+app, "destroyedComputerPartition "+app,
	)
	l.pass(0, "instance")
	l.slapos(0, "remove", l.built, lifeComputer)
	l.slapos(0, "remove", l.light, lifeComputer)
	l.pass(0, "software", "destroyedSoftwareRelease", "destroyedSoftwareRelease")
	l.nothing()
	if said := l.pass(0, "format --now --console", "loadComputerConfigurationFromXML"); strings.Count(said, "slapos-resource") != 2 {
		t.Errorf("formatted again, it does\n%s", said)
	}
}

// slaposLifeOfAnybody is by the daemon, without users and interfaces, and with programs that are
// started again by processing alone, as SlapOS has it. release is what buildout made on such a
// machine before; "": it is made here.
func slaposLifeOfAnybody(t *testing.T, release string) {
	const somebody = 54333
	l := newSlaposLife(t, somebody, "root_check = false\nrestart_services = false\n")
	definition := "[computer]\naddress = 127.0.0.1/8\n"
	for i := range 10 {
		definition += fmt.Sprintf("[partition_%d]\naddress = 127.0.0.%d/32 ::1/128\n", i, i+2)
	}
	l.write("definition.cfg", definition, 0o644)
	if release != "" && l.pid != 0 {
		for _, argv := range [][]string{{"cp", "-a", release, l.at("soft")}, {"chown", "-hR", strconv.Itoa(l.uid), l.at("soft")}} {
			if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("err = %v, out = %s; want no error", err, string(out))
			}
		}
		nodetest.Do(t, os.RemoveAll(l.at("soft", releaseDir(l.light)))) // that one is cheap
	}
	l.pass(
		0, "format --now --alter_user False --alter_network False --input_definition_file definition.cfg",
		"loadComputerConfigurationFromXML",
	)
	web, app := "slappart0", "slappart1"
	if l.owner("inst", web) != l.uid || l.owner("inst", app) != l.uid {
		t.Error("a partition is another's")
	}

	node := l.command("hostler", "node", "--log-file", l.dir+"/node.log")
	nodetest.Do(t, node.Start())
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }() // when it is told to end, or the machine is
	log := func() string { return l.read("node.log") }
	heard := func(call string) {
		t.Helper()
		l.until(call, func() bool { return strings.Contains(l.master.Told(), call) }, log)
	}
	request := func(status int, title, release string, more ...string) {
		t.Helper()
		l.master.Forget()
		l.slapos(status, append([]string{"request", title, release}, more...)...)
	}
	l.slapos(0, "supply", l.light, lifeComputer)
	l.slapos(0, "supply", l.built, lifeComputer)
	request(0, "web", l.built, "--force-serialisation", "xml", "--parameters", "text=one", "--state", "stopped")
	heard("stoppedComputerPartition " + web)
	l.connected("web", "text", "one")
	if l.programs()["slappart0:server-on-watch"] != "" {
		t.Error("web is wanted stopped, and runs")
	}
	request(0, "app", l.light, "--parameters", "color=red")
	heard("startedComputerPartition " + app)
	request(0, "part", l.light, "--slave")
	heard("startedComputerPartition " + app)
	l.connected("app", "color", "red")
	l.connected("part", "at", "red")
	request(0, "web", l.built, "--force-serialisation", "xml", "--parameters", "text=one", "--state", "started")
	heard("startedComputerPartition " + web)
	l.running("slappart0:server-on-watch")

	request(0, "app", l.light, "--parameters", "color=blue", "promise=bad")
	l.until("the error", func() bool {
		return strings.HasSuffix(l.master.Trouble(lifeComputer, app), "failed with output: it is bad")
	}, log)
	l.connected("part", "at", "blue")
	l.until("the other color", func() bool { return l.read(lifeApp, "color") == "blue\n" }, log)
	request(0, "app", l.light, "--parameters", "color=blue", "promise=good")
	l.until("that it is well", func() bool { return l.master.Trouble(lifeComputer, app) == "" }, log)

	was := l.running("slappart1:srv-blue-on-watch")
	l.master.Forget()
	l.run(0, "kill", "-9", was)
	heard("softwareInstanceBang " + app)
	heard("updateComputerPartitionRelatedInstanceList " + app)
	if now := l.running("slappart1:srv-blue-on-watch"); now == was {
		t.Error("what was killed runs")
	}
	l.slapos(nodecmd.ExitBusy, "node", "report")
	if plan := l.run(0, "hostler", "node", "plan"); strings.Count(plan, " look ") != 4 {
		t.Errorf("it is not done with\n%s", plan)
	}

	request(0, "app", l.light, "--parameters", "color=blue", "--state", "stopped")
	heard("stoppedComputerPartition " + app)
	if now := l.programs(); now["slappart1:srv-blue-on-watch"] != "" || !strings.HasPrefix(now["slappart0:server-on-watch"], "RUNNING") {
		t.Errorf("app is stopped, and %v", now)
	}
	request(0, "app", l.light, "--parameters", "color=blue", "--state", "started")
	heard("startedComputerPartition " + app)
	l.running("slappart1:srv-blue-on-watch")

	l.slapos(0, "request", "part", l.light, "--slave", "--state", "destroyed")
	l.slapos(0, "request", "web", l.built, "--state", "destroyed")
	l.slapos(0, "request", "app", l.light, "--state", "destroyed")
	l.until("that they are gone", func() bool {
		v, err := overview.Computer(t.Context(), l.master.Master, access.Anybody, lifeComputer)
		nodetest.Do(t, err)
		return len(v.At) == 0
	}, log)
	if used := l.master.Used(lifeComputer); !slices.Contains(used, "CPU Consumption of slappart0 is 1.5") ||
		!slices.Contains(used, "water of slappart1 is 7") {
		t.Errorf("the master was told of %q", used)
	}
	l.slapos(0, "remove", l.built, lifeComputer)
	l.slapos(0, "remove", l.light, lifeComputer)
	l.until("that the software is gone", func() bool {
		v, err := overview.Computer(t.Context(), l.master.Master, access.Anybody, lifeComputer)
		nodetest.Do(t, err)
		return len(v.Supplied) == 0
	}, log)
	l.run(0, "sh", "-c", "kill $(cat pid)")
	nodetest.Do(t, <-ended)
	l.nothing()
}

// releaseDir is the name of a release's directory.
func releaseDir(url string) string {
	sum := md5.Sum([]byte(url))
	return hex.EncodeToString(sum[:])
}

// Who is told to end while it asks the supervisor starts no other one.
func TestSlaposSupervisorOfOneWhoEnds(t *testing.T) {
	n := &service.Node{Settings: &cfg.NodeConfig{InstanceRoot: t.TempDir()}}
	n.Path = filepath.Join(n.Settings.InstanceRoot, "slapos.cfg")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.Supervisor(ctx)
	if _, log := os.Stat(filepath.Join(n.Settings.InstanceRoot, service.SupervisorLog)); err == nil || log == nil {
		t.Errorf("%v, and its log is there: %t", err, log == nil)
	}
}
