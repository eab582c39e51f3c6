package node_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

// with are the processes whose command line has a text.
func with(t testing.TB, text string) (n int) {
	t.Helper()
	all, err := proc.Find(func(pid int) bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && strings.Contains(string(line), text)
	})
	do(t, err)
	defer proc.Close(all)
	for _, h := range all {
		if !h.Ended() {
			n++
		}
	}
	return n
}

// hidden is a number of seconds that nobody else sleeps.
func hidden(n int) string { return fmt.Sprintf("1%07d.%d", os.Getpid(), n) }

// hides leaves something that nothing is known of but its user, and returns when it runs.
func hides(number string) string {
	return "env -i setsid -f /bin/sleep " + number + " </dev/null >/dev/null 2>&1\nuntil pgrep -f /bin/sleep." + number + " >/dev/null; do sleep .01; done\n"
}

// TestEscape ends what the program of a release has left running, hidden, when its instance is
// stopped, and again when it is destroyed; what runs in another partition, and what a hook has
// running, is not touched.
func TestEscape(t *testing.T) {
	l := newLab(t, 2)
	l.accounts(t, "p0", "p1")
	for i := range 2 {
		l.Light(fmt.Sprint("/r", i), "cat >input\n"+hides(hidden(i)))
		l.ask(fmt.Sprint("demo", i), fmt.Sprint("/r", i), proto.Started, nil)
	}
	t.Cleanup(func() {
		for i := range 2 {
			_, _ = runas.EndUser(context.Background(), uint32(firstUser+i), nil)
		}
	})
	l.run(0, node.Options{})
	if with(t, hidden(0)) != 1 || with(t, hidden(1)) != 1 {
		t.Fatalf("%d and %d have hidden", with(t, hidden(0)), with(t, hidden(1)))
	}
	u := &supervise.User{UID: uint32(firstUser), GID: uint32(firstUser)}
	_, err := l.Supervisor.Put(
		t.Context(),
		supervise.Group{
			Name:     "p0-prerm",
			Programs: []supervise.Program{{Name: "last", Command: []string{"/bin/sh", "-c", "sleep " + hidden(2)}, Dir: "/", User: u}},
		},
	)
	do(t, err)
	do(t, l.Supervisor.Start(t.Context(), "p0-prerm"))
	l.Until("the hook's", func() bool { return with(t, "sleep\x00"+hidden(2)) == 1 })
	prerm := l.State("p0-prerm:last").PID
	l.ask("demo0", "/r0", proto.Stopped, nil)
	l.run(0, node.Options{})
	if with(t, hidden(0)) != 0 || with(t, hidden(1)) != 1 || l.State("p0-prerm:last").PID != prerm || with(t, "sleep\x00"+hidden(2)) != 1 {
		t.Errorf("stopped: %d and %d have hidden; the hook's is %+v", with(t, hidden(0)), with(t, hidden(1)), l.State("p0-prerm:last"))
	}
	// what was there, and what the program has left this time
	l.Says("2 processes of its user that had left its programs were ended")
	l.Light(
		"/r0",
		"cat >input\nmkdir -p sbin\nprintf '#!/bin/sh\\n"+strings.ReplaceAll(hides(hidden(0)), "\n", "\\n")+"' >sbin/destroy\nchmod 755 sbin/destroy\n",
	)
	l.run(0, node.Options{Only: []string{"p0"}, Force: true})
	l.ask("demo0", "/r0", proto.Destroyed, nil)
	l.run(0, node.Options{})
	pass := &report.Pass{
		Master: l.Client, Supervisor: l.Supervisor, Computer: "C", InstanceRoot: l.Root,
		Log: func(line string) { l.Note("%s", line) },
	}
	out, err := pass.Run(t.Context())
	do(t, err)
	if left, _ := os.ReadDir(l.At("p0")); out.Failed != 0 || with(t, hidden(0)) != 0 || with(t, hidden(2)) != 0 ||
		with(t, hidden(1)) != 1 || len(left) != 0 {
		t.Errorf("destroyed: %+v; %d and %d run, %v is there\n%s", out, with(t, hidden(0)), with(t, hidden(1)), left, l.Said())
	}
}

// TestEscapeOfMany ends nothing by a user who is not a partition's alone: that of two, one whose
// home is elsewhere, root.
func TestEscapeOfMany(t *testing.T) {
	l := newLab(t, 2)
	l.accounts(t, "p0", "p1")
	own := func(want bool, what string) {
		t.Helper()
		if uid, ok := runas.Own(l.At("p1")); ok != want || ok && uid != uint32(firstUser+1) {
			t.Errorf("%s: uid = %d, ok = %v; want ok == want and (!ok or uid == uint32(firstUser+1))", what, uid, ok)
		}
	}
	own(true, "a user of its own")
	do(t, os.WriteFile(l.At("file"), nil, 0o644))
	do(t, os.Chown(l.At("file"), firstUser+1, firstUser+1))
	own(false, "something beside it is his")
	do(t, os.Remove(l.At("file")))
	do(t, os.Chown(l.At("p1"), firstUser, firstUser))
	own(false, "two partitions of one user, whose home is the other")
	do(t, os.Chown(l.At("p1"), 0, 0))
	own(false, "root")
	do(t, os.Chown(l.At("p1"), 65432, 65432))
	own(false, "somebody without a name")
	if _, err := runas.EndUser(t.Context(), 0, nil); err == nil {
		t.Error("all of root's may be ended")
	}
}
