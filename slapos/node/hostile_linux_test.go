package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/nodetest"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

// TestHostilePlaces has a partition's user put something else in each place in which the node reads
// or writes: nothing waits, nothing outside is read or changed, and the partition beside it is
// served; and with all of it there, the partition is destroyed.
func TestHostilePlaces(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestHostilePlaces: only root makes devices, and follows where others may not go")
	}
	l := newLab(t, 2)
	outside := filepath.Join(l.Work, "outside")
	do(t, os.Mkdir(outside, 0o700))
	secret := filepath.Join(outside, "secret")
	do(t, os.WriteFile(secret, []byte("#!/bin/sh\necho secret\n"), 0o700))
	untouched := func(what string) {
		t.Helper()
		all, err := os.ReadDir(outside)
		do(t, err)
		text, err := os.ReadFile(secret)
		i, e := os.Lstat(secret)
		if err != nil || e != nil || len(all) != 1 || string(text) != "#!/bin/sh\necho secret\n" ||
			i.Mode().Perm() != 0o700 || i.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Fatalf("%s: outside there is %v, %q, %v, %v", what, all, text, i, err)
		}
	}
	l.Light("/r", "read -r in\n")
	l.ask("bad", "/r", proto.Started, nil)
	l.ask("good", "/r", proto.Started, nil)
	l.run(0, node.Options{})
	kinds := map[string]func(path string) error{
		"a link to a file":      func(path string) error { return os.Symlink(secret, path) },
		"a link to a directory": func(path string) error { return os.Symlink(outside, path) },
		"a FIFO":                func(path string) error { return unix.Mkfifo(path, 0o666) },
		// of zeros without end
		"a device":     func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
		"a directory":  func(path string) error { return os.MkdirAll(filepath.Join(path, "in"), 0o700) },
		"a large file": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
	}
	places := []string{".timestamp", ".slapgrid", ".slapgrid/log", ".slapgrid/log/instance.log",
		".slapgrid-p0-error.log", ".slapos-request-transaction-p0", "software_release",
		".slapos-retention-lock-delay", ".hostler-half-.timestamp", "etc", "etc/run", "etc/service", "etc/service/srv",
		".p0_srv-on-watch.log", ".slapos_latest_bang_timestamp"}
	put := func(place string, f func(path string) error) {
		t.Helper()
		do(t, os.RemoveAll(l.At("p0", place)))
		do(t, os.MkdirAll(filepath.Dir(l.At("p0", place)), 0o755))
		do(t, f(l.At("p0", place)))
	}
	n := 0
	for what, f := range kinds {
		for _, place := range places {
			put(place, f)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if _, err := l.agent.Instances(ctx, node.Options{Only: []string{"p0"}, Force: true}); err != nil {
				t.Errorf("%s as %s: %v", what, place, err)
			}
			cancel()
			untouched(what + " as " + place)
			do(t, os.RemoveAll(l.At("p0", place)))
			n++
		}
		do(t, os.RemoveAll(l.At("p0", "etc")))
		out, err := l.agent.Instances(t.Context(), node.Options{Force: true})
		if err != nil || out.Done != 2 || len(out.Failed) > 0 {
			t.Fatalf("after %s: %+v, %v", what, out, err)
		}
	}
	// Names that would be something else where they are written.
	do(t, os.MkdirAll(l.At("p0", "etc", "service"), 0o755))
	for _, name := range []string{"two\nlines", "\x1b[2Jescapes", strings.Repeat("x", 230), "a:b", "-rf", "..x"} {
		do(t, os.WriteFile(l.At("p0", "etc", "service", name), []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755))
	}
	l.run(0, node.Options{Force: true})
	if said := l.Said(); strings.ContainsAny(said, "\x1b") || strings.Contains(said, "two\nlines") {
		t.Errorf("it says %q", said)
	}
	if all, err := l.Supervisor.Status(t.Context(), "p0"); err != nil || len(all) != 2 {
		t.Errorf("all = %+v, err = %v; want no error and len(all) == 2", all, err)
	}
	// All of that at once, when it is destroyed.
	i := 0
	for what, f := range kinds {
		for _, place := range append(
			places[4:9:9], ".slapos-retention-lock-date-"+fmt.Sprint(i), "etc/report-"+fmt.Sprint(i),
			"var/xml_report-"+fmt.Sprint(i),
		) {
			put(place, f)
		}
		put("sbin/destroy", f)
		put(".slapos-retention-lock-delay", func(path string) error { return os.WriteFile(path, []byte("0"), 0o644) })
		_ = what
		i++
	}
	do(t, os.RemoveAll(l.At("p0", "sbin", "destroy")))
	put("var/xml_report", kinds["a link to a directory"])
	put("etc/report", kinds["a FIFO"])
	l.ask("bad", "/r", proto.Destroyed, nil)
	pass := &report.Pass{
		Master: l.Client, Supervisor: l.Supervisor, Computer: "C", InstanceRoot: l.Root,
		Log: func(line string) { l.Note("%s", line) },
	}
	for range 2 {
		_, err := pass.Run(t.Context())
		do(t, err)
	}
	untouched("destroyed")
	if left, err := os.ReadDir(l.At("p0")); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v\n%s", left, err, l.Said())
	}
}

// TestOthersSeeNothing has the user of a partition look for what is another's: its files, its log,
// what it was asked with, its key, its environment; and for the supervisor's socket and records, by
// which he would be anybody.
func TestOthersSeeNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestOthersSeeNothing: without root there is one user")
	}
	m := newMortal(t, 2)
	m.Light("/r", `read -r in; echo "$in" >asked; umask 0; echo x >open
`+nodetest.Service("srv", "echo secret; exec sleep 1000"))
	m.ask("one", "/r", proto.Started, proto.Dictionary{"password": "secret"})
	m.whole("p0", "the first pass")
	srv := m.State("p0:srv-on-watch")
	m.Until("its log", func() bool { return strings.Contains(m.Read("p0", ".p0_srv-on-watch.log"), "secret") })
	as := func(id, script string) (string, error) {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(m.User(id)), Gid: uint32(m.User(id))}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, path := range []string{m.At("p0"), m.At("p0", "asked"), m.At("p0", "open"),
		m.At("p0", ".p0_srv-on-watch.log"), m.At("p0", ".slapgrid", "log", "instance.log"),
		filepath.Join(m.d.Keys, "p0.key"),
		m.At("var", "hostler", "light", "p0.json"), fmt.Sprintf("/proc/%d/environ", srv.PID),
		fmt.Sprintf("/proc/%d/cwd/open", srv.PID), fmt.Sprintf("/proc/%d/root/etc", srv.PID), m.d.Socket,
		filepath.Join(m.Supervision.Dir, "id")} {
		if out, err := as("p1", "ls -d "+path+"/. >/dev/null 2>&1 && ls "+path+" || cat "+path); err == nil {
			t.Errorf("another sees %s: %q", path, out)
		}
		if out, err := as("p1", "test ! -w "+path); err != nil {
			t.Errorf("another may write to %s: %q, %v", path, out, err)
		}
	}
	for _, path := range []string{m.Root, m.d.Keys, m.Work, m.At("var"), m.Software} {
		if out, err := as("p1", "touch "+path+"/x"); err == nil {
			t.Errorf("another writes to %s: %q", path, out)
		}
	}
	if out, err := as("p1", fmt.Sprintf("kill %d", srv.PID)); err == nil || m.State("p0:srv-on-watch").PID != srv.PID {
		t.Errorf("another ends what runs: %q", out)
	}
	if out, err := as(
		"p0", "cat "+filepath.Join(m.d.Keys, "p0.key")+" "+m.At("p0", "asked"),
	); err != nil || !strings.Contains(out, "secret") {
		t.Errorf("its own user does not see it: %q, %v", out, err)
	}
}

// TestFullDisk fills the disk of a partition, that of what is remembered, and that of the
// supervisor's records, each in the middle: what was whole is whole, what ran runs, the others are
// served, and all goes on when there is room.
func TestFullDisk(t *testing.T) {
	mounts(t)
	l := newLab(t, 3)
	small := func(path string, id string) {
		do(t, unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=128k,mode=750,uid=%d,gid=%d", l.User(id), l.User(id))))
		t.Cleanup(func() { do(t, unix.Unmount(path, unix.MNT_DETACH)) })
	}
	fill := func(path string) (empty func()) {
		f, err := os.Create(filepath.Join(path, "filler"))
		do(t, err)
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		do(t, f.Close())
		return func() { do(t, os.Remove(f.Name())) }
	}
	small(l.At("p0"), "p0")
	l.Light(
		"/r",
		"read -r in; echo '{\"request\":[{\"title\":\"kid\",\"software_release\":\"/k\"}],\"connection\":{}}'\n"+nodetest.Service("srv", "exec sleep 1000"),
	)
	l.Light("/k", "read -r in\n")
	l.Light(
		"/plain",
		"read -r in; v=${in#*'\"v\":\"'}; head -c 8192 /dev/zero >new${v%%'\"'*} || exit 1; echo \"$in\" >input\n"+nodetest.Service("srv", "exec sleep 1000"),
	)
	l.ask("full", "/plain", proto.Started, proto.Dictionary{"v": "1"})
	l.ask("other", "/plain", proto.Started, proto.Dictionary{"v": "1"})
	l.run(0, node.Options{})
	was := []supervise.Status{l.State("p0:srv-on-watch"), l.State("p1:srv-on-watch")}
	both := func(v string) {
		for _, title := range []string{"full", "other"} {
			l.ask(title, "/plain", proto.Started, proto.Dictionary{"v": v})
		}
	}
	check := func(when string) {
		t.Helper()
		for i, s := range was {
			if now := l.State(s.FullName()); now.PID != s.PID || now.State != supervise.Running {
				t.Errorf("%s: p%d was %+v and is %+v", when, i, s, now)
			}
		}
	}

	empty := fill(l.At("p0"))
	both("2")
	out := l.run(1, node.Options{})
	if len(out.Failed) != 1 || out.Failed[0].Partition != "p0" ||
		!strings.Contains(out.Failed[0].Err.Error(), "o space left") || !strings.Contains(l.Read("p1", "input"), `"v":"2"`) {
		t.Errorf("its own disk: %+v", out)
	}
	if l.Read("p0", ".slapos-retention-lock-delay") != "0.0" || l.Read("p0", ".timestamp") != "" {
		t.Errorf("what it has is %q and %q", l.Read("p0", ".slapos-retention-lock-delay"), l.Read("p0", ".timestamp"))
	}
	check("its own disk is full")
	l.agent.Free = 1 << 20
	if out := l.run(1, node.Options{Only: []string{"p0"}}); !errors.Is(out.Failed[0].Err, compute.ErrNoCapacity) {
		t.Errorf("out = %+v; want error compute.ErrNoCapacity", out)
	}
	l.agent.Free = 0
	empty()
	l.run(0, node.Options{})
	if !strings.Contains(l.Read("p0", "input"), `"v":"2"`) || l.Read("p0", ".timestamp") == "" {
		t.Error("it does not go on")
	}

	do(t, os.MkdirAll(l.At("var", "hostler", "light"), 0o700))
	small(l.At("var", "hostler", "light"), "p0")
	empty = fill(l.At("var", "hostler", "light"))
	both("3")
	l.ask("full", "/r", proto.Started, nil)
	// it is the node's own
	if out := l.run(1, node.Options{}); len(out.Failed) != 2 || strings.Contains(l.Told(), "requestComputerPartition") {
		t.Errorf("what cannot be remembered is asked for: %+v, %s", out, l.Told())
	}
	check("what is remembered has no room")
	empty()
	l.run(0, node.Options{})
	if !strings.Contains(l.Told(), "requestComputerPartition") {
		t.Errorf("it does not go on: %s", l.Told())
	}

	do(t, l.Supervisor.Close())
	records := l.Supervision.Dir
	kept, err := filepath.Glob(records + "/*")
	do(t, err)
	texts := map[string][]byte{}
	for _, name := range kept {
		texts[filepath.Base(name)], err = os.ReadFile(name)
		do(t, err)
	}
	small(records, "p0")
	for name, text := range texts {
		do(t, os.WriteFile(filepath.Join(records, name), text, 0o600))
	}
	l.Supervise()
	l.agent.Supervisor = l.Supervisor
	empty = fill(records)
	l.Light("/more", "read -r in\n"+nodetest.Service("srv", "exec sleep 1000")+nodetest.Service("more", "exec sleep 1000"))
	l.ask("other", "/more", proto.Started, nil)
	if out := l.run(1, node.Options{Only: []string{"p1"}}); len(out.Failed) != 1 ||
		!strings.Contains(out.Failed[0].Err.Error(), "o space left") {
		t.Errorf("the supervisor's disk: %+v", out)
	}
	check("the supervisor's disk is full")
	empty()
	l.run(0, node.Options{})
	check("in the end")
	if l.State("p1:more-on-watch").State != supervise.Running {
		t.Errorf("it does not go on: %+v", l.State("p1:more-on-watch"))
	}
}
