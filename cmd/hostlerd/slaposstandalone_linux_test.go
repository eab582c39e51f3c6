package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/host/program"
	"github.com/hostler-project/hostler/slapos/node/standalone"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// TestSlaposStandaloneCalls is what a program does with a SlapOS of its own: software and instances
// are waited for, a pass that fails says what it said, there are more partitions and fewer, and it
// is all gone at the end. The one who does it is no root.
func TestSlaposStandaloneCalls(t *testing.T) {
	dir := os.Getenv("HOSTLER_STANDALONE_TEST")
	if dir == "" {
		asOrdinary(t)
		return
	}
	ctx := t.Context()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o := standalone.StartOptions{
		Options: standalone.Options{
			Dir: filepath.Join(dir, "s"), Program: filepath.Join(os.Getenv("HOSTLER_TEST_PROGRAMS"), "hostler"),
			Partitions: 2,
		},
		Warn: func(line string) { t.Log(line) },
	}
	o.IPv4, o.NoIPv6 = netip.MustParsePrefix("127.9.1.1/24"), true
	deep := o
	deep.Dir = filepath.Join(dir, strings.Repeat("d", 100))
	if _, err := standalone.Start(ctx, deep); !errors.Is(err, standalone.ErrTooDeep) {
		t.Error(err)
	}
	s, err := standalone.Start(ctx, o)
	do(err)
	defer func() { _ = s.Stop(0) }()
	if _, err := standalone.Start(ctx, o); !errors.Is(err, standalone.ErrRuns) {
		t.Error(err)
	}

	release := filepath.Join(dir, "release")
	do(os.Mkdir(release, 0o755))
	write := func(name, text string) {
		t.Helper()
		do(os.WriteFile(filepath.Join(release, name), []byte(text), 0o755))
	}
	write("install", "#!/bin/sh\nfor i in 1 2 3 4; do echo line $i; done\nexit 3\n")
	write("instance", `#!/bin/sh
mkdir -p etc/service etc/promise
printf '#!/bin/sh\nexec sleep 1000\n' >etc/service/srv
printf '#!/bin/sh\necho not yet; exec test -e '$PWD/kept >etc/promise/kept
chmod 755 etc/service/srv etc/promise/kept
printf '{"connection": {"ip": "%s"}}' "$(grep -o '127\.9\.1\.[0-9]*' | head -n 1)"
`)
	do(s.Supply(ctx, release))
	var failed *standalone.PassError
	err = s.WaitForSoftware(ctx, standalone.WaitOptions{Retries: 1, Lines: 4})
	if !errors.As(err, &failed) || failed.Pass != standalone.Software || failed.Status != 1 ||
		strings.Count(failed.Output, "\n") != 3 || !strings.Contains(failed.Output, release) {
		t.Fatalf("err = %v", err)
	}
	log, err := os.ReadFile(failed.Log)
	do(err)
	if n := strings.Count(string(log), "Installing software release"); n != 2 || !strings.Contains(string(log), "line 4") {
		t.Errorf("%d times\n%s", n, log)
	}
	write("install", "#!/bin/sh\nexit 0\n")
	do(s.WaitForSoftware(ctx, standalone.WaitOptions{}))

	q := &proto.Request{Title: "web", Release: release}
	for _, title := range []string{"web", "second"} {
		_, err = s.Request(ctx, &proto.Request{Title: title, Release: release})
		do(err)
	}
	if _, err := s.Request(ctx, &proto.Request{Title: "third", Release: release}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a third place: %v", err)
	}
	if err := s.WaitForInstance(ctx, standalone.WaitOptions{}); !errors.As(err, &failed) ||
		failed.Pass != standalone.Instance || failed.Status != 2 || !strings.Contains(failed.Output, "not yet") {
		t.Fatalf(
			"err = %v"+
				"; want errors.As(err, &failed) and failed.Pass == standalone.Instance and failed.Status "+
				`== 2 and failed.Output with "not yet"`,
			err,
		)
	}
	for _, name := range s.Names() {
		do(os.WriteFile(s.At("inst/"+name+"/kept"), nil, 0o600))
	}
	do(s.WaitForInstance(ctx, standalone.WaitOptions{Retries: 5}))
	ips := map[any]bool{}
	for _, title := range []string{"web", "second"} {
		i, err := s.Request(ctx, &proto.Request{Title: title, Release: release})
		do(err)
		ips[i.Connection["ip"]] = true
	}
	if len(ips) != 2 || !ips["127.9.1.1"] || !ips["127.9.1.2"] {
		t.Errorf("each has an address of its own: %v", ips)
	}

	// More partitions, then those alone that are wanted.
	do(s.Format(ctx, standalone.Options{Partitions: 3}))
	_, err = s.Request(ctx, &proto.Request{Title: "third", Release: release})
	do(err)
	q.State = proto.Destroyed
	for _, title := range []string{"second", "third"} {
		q.Title = title
		_, err = s.Request(ctx, q)
		do(err)
	}
	do(s.WaitForReport(ctx, standalone.WaitOptions{Retries: 2}))
	do(s.Format(ctx, standalone.Options{Partitions: 1}))
	if _, err := os.Stat(s.At("inst/slappart1")); err == nil || len(s.Names()) != 1 {
		t.Errorf("err = %v, s.Names() = %q; want an error and len(s.Names()) == 1", err, s.Names())
	}

	given, give := context.WithCancel(ctx)
	give()
	if err := s.WaitForInstance(given, standalone.WaitOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	do(s.Stop(0))
	do(s.Stop(0))
	if err := s.WaitForInstance(ctx, standalone.WaitOptions{}); err == nil || s.Err() != nil {
		t.Errorf("err = %v, s.Err() = %v; want an error and s.Err() == nil", err, s.Err())
	}
	select {
	case <-s.Done():
	default:
		t.Error("it is said to be there")
	}
	for _, name := range []string{"inst/sv.sock", "inst/var/run/supervisord.pid"} {
		if _, err := os.Stat(s.At(name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	if text, err := os.ReadFile(s.At("var/run/slapos-standalone.pid")); err != nil || len(text) > 0 {
		t.Errorf("text = %s, err = %v; want no error and len(text) <= 0", text, err)
	}
}

// asOrdinary runs a test as an ordinary user, in a directory of his, whose name is short: sockets
// are in it. What he runs is copied there: where go and we have made it may be closed to him.
func asOrdinary(t *testing.T) {
	t.Helper()
	made, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "h")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		for from, to := range map[string]string{
			self: "tests", filepath.Join(made, "hostler"): "hostler", filepath.Join(made, program.Whole): program.Whole,
		} {
			if err := copyFile(from, filepath.Join(dir, to), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		self, made = filepath.Join(dir, "tests"), dir
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOSTLER_STANDALONE_TEST="+dir, "HOSTLER_TEST_PROGRAMS="+made, "HOME="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() == 0 {
		const user = 54332
		if err := os.Chown(dir, user, user); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: user, Gid: user}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("err = %v\nout = %s; want no error", err, out)
	}
}

// TestFirstSlapos plays what make run-slapos shows.
func TestFirstSlapos(t *testing.T) {
	made, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "../../docs/first-slapos", filepath.Join(made, "hostler"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("err = %v\nout = %s; want no error", err, out)
	}
	for _, want := range []string{"\nHello,_at ", "RUNNING", "State is : destroyed", "slappart2"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not said:\n%s", want, out)
		}
	}
}
