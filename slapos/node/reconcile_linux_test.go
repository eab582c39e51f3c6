package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

// TestLife has an instance started, left alone, changed, stopped, started and destroyed, and sees
// what the master hears.
func TestLife(t *testing.T) {
	l := newLab(t, 2)
	dir := l.Light(
		"/r",
		"cat >input; id -u >who; umask >mask; env | sort >env\n"+nodetest.Service("srv", "echo up; exec sleep 1000")+"mkdir -p etc/run; printf '#!/bin/sh\\necho once >ran\\n' >etc/run/once; chmod 755 etc/run/once\necho '{\"connection\":{\"url\":\"http://x\",\"n\":1}}'\n",
	)
	l.ask("demo", "/r", proto.Started, proto.Dictionary{"_": `{"a": [1]}`})
	l.run(0, node.Options{})
	l.Tells("setComputerPartitionConnectionXml p0, startedComputerPartition p0, updateComputerPartitionRelatedInstanceList p0")
	for _, want := range []string{
		`"title":"demo"`, `"parameters":{"a":[1]}`, `"state":"started"`, `"release_directory":"` + dir + `"`,
		`"partition_directory":"` + l.At("p0") + `"`, `"address":"10.0.0.0"`,
	} {
		if !strings.Contains(l.Read("p0", "input"), want) {
			t.Errorf("the program reads %s, without %s", l.Read("p0", "input"), want)
		}
	}
	if os.Getuid() == 0 && l.Read("p0", "who") != strconv.Itoa(firstUser)+"\n" || l.Read("p0", "mask") != "0027\n" ||
		!strings.Contains(l.Read("p0", "env"), "\nHOME="+l.At("p0")+"\n") || !strings.Contains(
		l.Read("p0", "env"), "SLAPGRID_INSTANCE_ROOT="+l.Root,
	) {
		t.Errorf("it ran as %q with the mask %q and\n%s", l.Read("p0", "who"), l.Read("p0", "mask"), l.Read("p0", "env"))
	}
	if to, err := os.Readlink(l.At("p0", "software_release")); err != nil || to != dir {
		t.Errorf("software_release leads to %q, %v", to, err)
	}
	srv := l.State("p0:srv-on-watch")
	if srv.State != supervise.Running || srv.Log != l.At("p0", ".p0_srv-on-watch.log") {
		t.Errorf("the service: %+v", srv)
	}
	l.Until("etc/run", func() bool { return l.Read("p0", "ran") == "once\n" })
	if log := l.Read("p0", ".slapgrid/log/instance.log"); !strings.Contains(log, "Processing Computer Partition p0.") ||
		l.Read("p0", ".slapos-retention-lock-delay") != "0.0" {
		t.Errorf("the log is %q", log)
	}

	l.run(0, node.Options{})
	l.Tells("")
	l.run(0, node.Options{Only: []string{"p0"}, Force: true})
	if !strings.Contains(l.Told(), "startedComputerPartition p0") || l.State("p0:srv-on-watch").PID != srv.PID {
		t.Errorf("processed again, the master heard %q, and the service is %+v", l.Told(), l.State("p0:srv-on-watch"))
	}
	do(t, os.Chtimes(l.At("p0", ".timestamp"), time.Time{}, time.Now().Add(-48*time.Hour)))
	if out := l.run(0, node.Options{}); out.Done != 1 {
		t.Error("after its period it was not processed")
	}
	do(t, os.WriteFile(filepath.Join(dir, "periodicity"), []byte("-1"), 0o644))
	do(t, os.Chtimes(l.At("p0", ".timestamp"), time.Time{}, time.Now().Add(-480*time.Hour)))
	if out := l.run(0, node.Options{}); out.Done != 0 {
		t.Error("it was processed though its release never wants that")
	}
	do(t, os.WriteFile(filepath.Join(dir, "periodicity"), []byte("often"), 0o644))
	l.run(0, node.Options{})
	if _, err := os.Stat(filepath.Join(dir, "periodicity")); err == nil {
		t.Error("a bad periodicity stays")
	}

	l.ask("demo", "/r", proto.Stopped, nil)
	l.run(0, node.Options{})
	l.Tells("stoppedComputerPartition p0, updateComputerPartitionRelatedInstanceList p0")
	if s := l.State("p0:srv-on-watch"); s.PID != 0 || !strings.Contains(l.Read("p0", "input"), `"state":"stopped"`) {
		t.Errorf("stopped: %+v", s)
	}
	l.ask("demo", "/r", proto.Started, nil)
	l.run(0, node.Options{})
	l.run(0, node.Options{Stop: true})
	if l.Told() != "" || l.State("p0:srv-on-watch").PID != 0 {
		t.Errorf("force-stop: %q, %+v", l.Told(), l.State("p0:srv-on-watch"))
	}
	l.ask("demo", "/r", proto.Destroyed, nil)
	l.run(0, node.Options{})
	l.Tells("stoppedComputerPartition p0")
	if _, err := l.Client.ReportInstance(t.Context(), "C", "p0", proto.Destroyed); err != nil {
		t.Fatal(err)
	}
	// as of a pass that could not tell the master of the end
	left := l.At("p0", ".slapgrid-p0-error.log")
	do(t, os.WriteFile(left, []byte("the master does not answer\n"), 0o644))
	out := l.run(0, node.Options{})
	if _, err := os.Stat(left); err == nil {
		t.Error("free, and the last error is there")
	}
	if _, err := os.Stat(l.At("p0", ".timestamp")); err == nil || out.Done != 0 || !strings.Contains(l.Said(), "it is free and has files") {
		t.Errorf("free: %+v\n%s", out, l.Said())
	}
}

// TestBuildout processes by what a release has as bin/buildout.
func TestBuildout(t *testing.T) {
	l := newLab(t, 1)
	l.agent.KeyFile, l.agent.SharedParts, l.agent.GlobalIPv4 = "/k", []string{"/a", "/b"}, "10.0.0.0/16"
	dir := l.Release(
		"https://x/${y}.cfg",
		map[string]string{
			"instance.cfg": "[buildout]\nparts =\n\n",
			"bin/buildout": "#!/bin/sh -e\n[ \"$1\" = -U ] || exit 3\n[ ! -e fail ] || { echo it broke; exit 4; }\necho doing\n",
		},
	)
	l.ask("demo", "https://x/${y}.cfg", proto.Started, nil)
	l.run(0, node.Options{})
	want := "[buildout]\nparts =\n\n[buildout]\nbin-directory = ${buildout:directory}/sbin\noffline = true\n\n[slap-connection]\ncomputer-id = C\npartition-id = p0\nserver-url = " + l.URL +
		"\nsoftware-release-url = https://x/$${y}.cfg\nkey-file = /k\ncert-file = \nshared-part-list = /a\n  /b\nbuild-time-part-list = \nrequested-state = started\n"
	if got := l.Read("p0", "buildout.cfg"); !strings.HasPrefix(got, want) ||
		!strings.Contains(got, "\n[slap_connection]\ncomputer_id = C\n") || !strings.HasSuffix(
		got, "\n[network-information]\nglobal-ipv4-network = 10.0.0.0/16\n",
	) {
		t.Errorf("buildout.cfg is\n%s", got)
	}
	do(t, os.WriteFile(l.At("p0", "fail"), nil, 0o644))
	out := l.run(1, node.Options{Force: true})
	if text := out.Failed[0].Err.Error(); !strings.Contains(
		text, "Failed to run buildout profile in directory '"+l.At("p0")+"':\nit broke",
	) ||
		!strings.Contains(l.Read("p0", ".slapgrid-p0-error.log"), "it broke") {
		t.Errorf("it says %q, and the file %q", text, l.Read("p0", ".slapgrid-p0-error.log"))
	}
	l.Tells("softwareInstanceError p0")
	if _, err := os.Stat(l.At("p0", ".timestamp")); err == nil {
		t.Error("what failed has its timestamp")
	}
	do(t, os.Remove(l.At("p0", "fail")))
	l.run(0, node.Options{})
	if l.Read("p0", ".slapgrid-p0-error.log") != "" {
		t.Error("the error's file stays")
	}
	do(t, os.Remove(filepath.Join(dir, "instance.cfg")))
	if out := l.run(1, node.Options{Force: true}); !strings.Contains(
		out.Failed[0].Err.Error(), "is not correctly installed. Missing file: "+dir+"/instance.cfg",
	) {
		t.Error(out.Failed)
	}
	do(t, os.RemoveAll(dir))
	if out := l.run(1, node.Options{}); !strings.Contains(out.Failed[0].Err.Error(), "is not present on system.") {
		t.Error(out.Failed)
	}
	l.ask("demo", "https://x/${y}.cfg", proto.Stopped, nil)
	l.run(1, node.Options{})
	if all, _ := l.Supervisor.Groups(t.Context()); len(all) != 0 {
		t.Errorf("what is wanted stopped runs: %v", all)
	}
}

// TestTree has a light instance ask for others, hear of them, and no more ask for one.
func TestTree(t *testing.T) {
	l := newLab(t, 3)
	l.Light("/kid", "cat >input; echo '{\"connection\":{\"port\":\"1\"}}'\n")
	l.Light(
		"/root",
		"cat >input; for n in $(cat wants 2>/dev/null || echo one two); do r=\"$r$c{\\\"title\\\":\\\"$n\\\",\\\"software_release\\\":\\\"/kid\\\",\\\"parameters\\\":{\\\"x\\\":{\\\"y\\\":2}}}\"; c=,; done; echo \"{\\\"request\\\":[$r]}\"\n",
	)
	l.ask("root", "/root", proto.Started, nil)
	l.run(0, node.Options{})
	if !strings.Contains(l.Read("p0", "input"), `"children":{}`) &&
		!strings.Contains(l.Read("p0", "input"), `"one":{"state":"started","connection":{}}`) {
		t.Errorf("before its children the root reads %s", l.Read("p0", "input"))
	}
	l.run(0, node.Options{})
	l.run(0, node.Options{})
	if in := l.Read("p0", "input"); !strings.Contains(in, `"one":{"state":"started","connection":{"port":"1"}}`) ||
		!strings.Contains(in, `"two":`) {
		t.Errorf("the root reads %s", in)
	}
	if in := l.Read("p1", "input"); !strings.Contains(in, `"parameters":{"x":"{\"y\":2}"}`) ||
		!strings.Contains(in, `"root_title":"root"`) {
		t.Errorf("a child reads %s", in)
	}
	l.run(0, node.Options{})
	l.Tells("")
	do(t, os.WriteFile(l.At("p0", "wants"), []byte("one"), 0o644))
	l.run(0, node.Options{Only: []string{"p0"}, Force: true})
	c, err := l.Client.Computer(t.Context(), "C")
	do(t, err)
	states := map[string]string{}
	for _, p := range c.Partitions {
		states[p.Title] = p.State
	}
	if states["one"] != proto.Started || states["two"] != proto.Destroyed {
		t.Errorf("the states are %v", states)
	}
	l.run(0, node.Options{Only: []string{"p0"}, Force: true})
	if strings.Count(l.Told(), "requestComputerPartition") != 1 {
		t.Errorf("it is asked for again what was told to go: %s", l.Told())
	}
}

// TestOffline goes on without a master, and with one that goes away.
func TestOffline(t *testing.T) {
	l := newLab(t, 2)
	l.Light("/r", "cat >input\n"+nodetest.Service("srv", "exec sleep 1000"))
	l.ask("demo", "/r", proto.Started, nil)
	l.run(0, node.Options{})
	do(t, l.Supervisor.Stop(t.Context(), "all"))
	l.Server.CloseClientConnections()
	l.Server.Close()
	l.run(3, node.Options{})
	if l.State("p0:srv-on-watch").State != supervise.Running {
		t.Error("without a master nothing is started")
	}
	do(t, l.Supervisor.Close())
	l.run(1, node.Options{})
}

// TestPromises has what promises say end a pass in its own way.
func TestPromises(t *testing.T) {
	l := newLab(t, 1)
	l.Light("/r", "cat >input\n")
	l.ask("demo", "/r", proto.Started, nil)
	var modes []promise.Mode
	bad, news := true, true
	l.agent.Promises = func(_ context.Context, _ *node.PartitionDir, mode promise.Mode) (bool, error) {
		modes = append(modes, mode)
		if bad {
			return news, errors.Join(&promise.Failure{Name: "p", Message: "no"})
		}
		return news, nil
	}
	out := l.run(2, node.Options{})
	if len(out.Promises) != 1 || l.Read("p0", ".slapgrid-p0-error.log") != "" {
		t.Errorf(`out = %+v; want len(out.Promises) == 1 and l.Read("p0", ".slapgrid-p0-error.log") == ""`, out)
	}
	l.Tells("softwareInstanceError p0")
	bad = false
	l.run(0, node.Options{})
	l.run(0, node.Options{})
	if len(modes) != 3 || modes[2] != promise.Anomaly || modes[1] != promise.Test {
		t.Errorf("promises were run in the modes %v", modes)
	}
	// A master that does not say what it heard hears what is new, and what it was not told yet.
	heard := func(want string) {
		t.Helper()
		l.Forget()
		l.run(map[bool]int{true: 2}[bad], node.Options{})
		l.Tells(want)
	}
	heard("startedComputerPartition p0")
	news = false
	heard("")
	bad = true
	heard("softwareInstanceError p0")
	bad = false
	heard("startedComputerPartition p0")
	heard("")
	news = true
	heard("startedComputerPartition p0")
}

// TestHostile has a partition's user do what he can.
func TestHostile(t *testing.T) {
	l := newLab(t, 2)
	secret := filepath.Join(l.Work, "secret")
	do(t, os.WriteFile(secret, []byte("secret"), 0o600))
	l.Light(
		"/r",
		"cat >input\n[ -e again ] || { touch again; mkdir -p etc/service; touch 'etc/service/a:b'; ln -s "+secret+" etc/service/link; }\n",
	)
	l.ask("demo", "/r", proto.Started, nil)
	for _, name := range []string{
		".timestamp", ".slapgrid-p0-error.log", ".slapos-request-transaction-p0", "software_release",
		".slapos-retention-lock-delay",
	} {
		do(t, os.Symlink(secret, l.At("p0", name)))
	}
	do(t, os.MkdirAll(l.At("p0", ".slapgrid", "log"), 0o777))
	do(t, unix.Mkfifo(l.At("p0", ".slapgrid", "log", "instance.log"), 0o666))
	l.run(0, node.Options{})
	if text, err := os.ReadFile(secret); err != nil || string(text) != "secret" {
		t.Errorf("the secret is %q, %v", text, err)
	}
	if i, err := os.Lstat(secret); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("i = %v, err = %v; want no error and i.Mode().Perm() == 0o600", i, err)
	}
	if all, err := l.Supervisor.Status(t.Context(), "p0"); err != nil || len(all) != 1 || all[0].Name != "link-on-watch" {
		t.Errorf(`all = %+v, err = %v; want no error and len(all) == 1 and all[0].Name == "link-on-watch"`, all, err)
	}
	do(t, os.Chmod(l.At("p0"), 0o777))
	if out := l.run(1, node.Options{Force: true}); !errors.Is(out.Failed[0].Err, compute.ErrDenied) {
		t.Error(out.Failed)
	}
	do(t, os.Chmod(l.At("p0"), 0o750))
	if os.Getuid() == 0 {
		do(t, os.Chown(l.At("p0"), 0, 0))
		if out := l.run(1, node.Options{}); !errors.Is(out.Failed[0].Err, compute.ErrDenied) ||
			!strings.Contains(out.Failed[0].Err.Error(), "belongs to root") {
			t.Error(out.Failed)
		}
	}
}

// TestSaysMuch has a program of a release that says what it should not.
func TestSaysMuch(t *testing.T) {
	l := newLab(t, 1)
	for say, want := range map[string]string{
		"head -c 9000000 /dev/zero": "it says more than", "echo no": "not understood",
		"yes x | head -c 200000 >&2; echo end >&2; exit 3":                       "x\nend",
		`echo '{"request":[{"title":"a"}]}'`:                                     "lacks a title or a software_release",
		`echo '{"request":[{"title":"a","software_release":"b","state":"on"}]}'`: "which is no state",
	} {
		l.Light("/r", "cat >input; "+say+"\n")
		l.ask("demo", "/r", proto.Started, nil)
		if out := l.run(1, node.Options{Force: true}); !strings.Contains(out.Failed[0].Err.Error(), want) ||
			len(out.Failed[0].Err.Error()) > 100<<10 {
			text := out.Failed[0].Err.Error()
			t.Errorf("%s: %d bytes, %.300s ... %q", say, len(text), text, text[max(0, len(text)-100):])
		}
	}
	l.Light("/r", "cat >input; sleep 1001 & sleep 1002\n")
	l.agent.Limit = 50 * time.Millisecond
	if out := l.run(1, node.Options{}); !strings.Contains(out.Failed[0].Err.Error(), "partition_timeout") {
		t.Error(out.Failed)
	}
}

// certified is a master that has certificates.
type certified struct {
	node.Master
	pair proto.Certificate
}

func (c *certified) Certificate(context.Context, string, string) (*proto.Certificate, error) {
	return &c.pair, nil
}

// TestCertificate has a partition's key be the master's, for its user alone.
func TestCertificate(t *testing.T) {
	l := newLab(t, 1)
	m := &certified{l.agent.Master, proto.Certificate{Key: "k1", Certificate: "c1"}}
	l.agent.Master, l.agent.Certificates = m, t.TempDir()
	l.Light("/r", "cat >input\n")
	l.ask("demo", "/r", proto.Started, nil)
	l.run(0, node.Options{})
	key := filepath.Join(l.agent.Certificates, "p0.key")
	was, err := os.Stat(key)
	do(t, err)
	if text, _ := os.ReadFile(key); string(text) != "k1" || was.Mode().Perm() != 0o400 ||
		os.Getuid() == 0 && was.Sys().(*syscall.Stat_t).Uid != uint32(firstUser) {
		t.Errorf("the key is %q, %v", text, was)
	}
	l.run(0, node.Options{Force: true})
	if now, err := os.Stat(key); err != nil || !os.SameFile(was, now) {
		t.Errorf("what is the same was written again: %v", err)
	}
	m.pair.Key = "k2"
	l.run(0, node.Options{Force: true})
	if text, _ := os.ReadFile(key); string(text) != "k2" {
		t.Errorf("the key is %q", text)
	}
}

// TestSilentChild lets an instance alone after a while that waits for one which never publishes
// anything, and does not forget it.
func TestSilentChild(t *testing.T) {
	l := newLab(t, 2)
	l.Light("/silent", "cat >input\n")
	l.Light("/r", "cat >input; echo >>times; echo '{\"request\":[{\"title\":\"kid\",\"software_release\":\"/silent\"}]}'\n")
	l.ask("demo", "/r", proto.Started, nil)
	l.agent.Retry = time.Hour
	var done []int
	for range 10 {
		done = append(done, l.run(0, node.Options{}).Done)
	}
	if n := done[9] + done[8] + done[7] + done[6] + done[5]; n != 0 || done[2] == 0 {
		t.Errorf("passes processed %v", done)
	}
	l.agent.Retry = time.Nanosecond
	if out := l.run(0, node.Options{}); out.Done != 1 {
		t.Error("after its pause it was not processed")
	}
	l.agent.Retry = time.Hour
	c, err := l.Client.Computer(t.Context(), "C")
	do(t, err)
	do(t, l.Client.SetConnection(t.Context(), "C", c.Partitions[1].ID, "", proto.Dictionary{"port": "1"}))
	l.run(0, node.Options{Only: []string{"p0"}, Force: true})
	if in := l.Read("p0", "input"); !strings.Contains(in, `"kid":{"state":"started","connection":{"port":"1"}}`) {
		t.Errorf("it reads %s", in)
	}
	if l.agent.Retry = time.Nanosecond; l.run(0, node.Options{}).Done != 0 {
		t.Error("it does not wait any more, and was processed")
	}
}
