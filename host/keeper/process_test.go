package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/remote/process"
)

// The test's binary is the keeper and its clients too, as hostler's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "the-keeper": // DIR BUILD IDLE
			os.Exit(keeperMain(os.Args[2:]))
		case "the-client": // DIR BUILD COMMAND...
			os.Exit(clientMain(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// A store is a directory with a file for each instance: its generation and owner. A missing file is
// no lease.
func authorise(dir string) func(context.Context, compute.Who, compute.ID) (keeper.Key, error) {
	return func(_ context.Context, who compute.Who, id compute.ID) (keeper.Key, error) {
		p, err := os.ReadFile(filepath.Join(dir, string(id)))
		if err != nil {
			return keeper.Key{}, &compute.Error{Op: "store", ID: id, Kind: compute.ErrNotLeased}
		}
		var gen int64
		var owner string
		fmt.Sscan(string(p), &gen, &owner)
		if owner != who.Owner {
			return keeper.Key{}, &compute.Error{Op: "store", ID: id, Kind: compute.ErrDenied, Hint: "ask " + owner}
		}
		return keeper.Key{Source: 1, Instance: id, Generation: gen}, nil
	}
}

func lease(t testing.TB, dir string, id compute.ID, generation int64) {
	t.Helper()
	path := filepath.Join(dir, string(id))
	if generation == 0 {
		os.Remove(path)
		return
	}
	if err := os.WriteFile(path+".new", fmt.Appendf(nil, "%d me", generation), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// note appends a line to a file of the store's directory, for the test to count.
func note(dir, name, line string) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(f, line)
		f.Close()
	}
}

func lines(dir, name string) int {
	p, _ := os.ReadFile(filepath.Join(dir, name))
	return bytes.Count(p, []byte("\n"))
}

func keeperMain(args []string) int {
	dir, build := args[0], args[1]
	idle, _ := time.ParseDuration(args[2])
	err := keeper.Serve(context.Background(), options(dir, build, idle))
	note(dir, "ended", fmt.Sprint(os.Getpid(), " ", err))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func options(dir, build string, idle time.Duration) keeper.Options {
	var due atomic.Int64
	return keeper.Options{
		Socket: filepath.Join(dir, "run", "k"), Build: build, Idle: idle, Authorise: authorise(dir),
		Open: func(_ context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
			note(dir, "opened", fmt.Sprint(key.Instance, " ", key.Generation))
			if strings.HasPrefix(string(key.Instance), "bad") {
				return nil, &compute.Error{Op: "test.Open", ID: key.Instance, Kind: compute.ErrNotReady, Hint: "wait"}
			}
			return &noted{Conn: process.New(process.Options{}), dir: dir}, nil
		},
		Due: func(_ context.Context, run func(func()), again func()) (time.Time, error) {
			note(dir, "due", "")
			if due.Add(1) == 1 {
				return time.Now().Add(100 * time.Millisecond), nil // and once more by itself
			}
			return time.Time{}, nil
		},
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
}

// noted is a connection whose end can be counted.
type noted struct {
	*process.Conn
	dir string
}

func (n *noted) Close() error {
	err := n.Conn.Close()
	note(n.dir, "closed", "")
	return err
}

func startOptions(dir, build string, idle time.Duration) keeper.StartOptions {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return keeper.StartOptions{Executable: exe, Args: []string{"the-keeper", dir, build, idle.String()},
		Socket: filepath.Join(dir, "run", "k"), Log: filepath.Join(dir, "log")}
}

func clientMain(args []string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := keeper.Ensure(
		ctx, startOptions(args[0], args[1], time.Minute),
		keeper.Request{Build: args[1], Who: compute.Who{Owner: "me"}, Instance: "a-1"},
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	exit, err := c.Run(ctx, &compute.Command{Args: args[2:], Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return exit.Status()
}

// place makes a store's directory with a short name, as sockets need, and ends every keeper that
// runs on it when the test ends.
func place(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "keeper")
	if err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil && !t.Failed() {
			t.Error(err)
		}
		if st, err := keeper.Ask(context.Background(), filepath.Join(dir, "run", "k")); err == nil {
			kill(t, st.PID)
		}
		if t.Failed() {
			p, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("the keeper's log:\n%s", p)
		}
		os.RemoveAll(dir)
	})
	lease(t, dir, "a-1", 1)
	return dir
}

// kill ends a process that this one, or one that has ended, started, and waits until it is gone.
func kill(t testing.TB, pid int) {
	t.Helper()
	if pid == os.Getpid() || pid <= 1 {
		return
	}
	syscall.Kill(pid, syscall.SIGKILL)
	gone(t, pid)
}

func gone(t testing.TB, pid int) {
	t.Helper()
	soon(t, fmt.Sprintf("process %d is gone", pid), func() bool {
		var ws syscall.WaitStatus
		syscall.Wait4(pid, &ws, syscall.WNOHANG, nil) // our own child, maybe
		p, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		// whoever has it now takes his time to reap it
		return err != nil || bytes.Contains(p, []byte(") Z "))
	})
}

func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: not within 30 s", what)
}

func request(build string) keeper.Request {
	return keeper.Request{Build: build, Who: compute.Who{Owner: "me"}, Instance: "a-1"}
}

func output(t testing.TB, c compute.Conn, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	exit, err := c.Run(t.Context(), &compute.Command{Args: args, Stdout: &out})
	if err != nil || exit.Status() != 0 {
		t.Fatalf("%q: exit = %v err = %v; want no error and exit.Status() == 0", args, exit, err)
	}
	return strings.TrimSpace(out.String())
}

func status(t testing.TB, dir string) keeper.Status {
	t.Helper()
	st, err := keeper.Ask(t.Context(), filepath.Join(dir, "run", "k"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestProcessesRaceToStartIt(t *testing.T) {
	dir := place(t)
	exe, _ := os.Executable()
	const n = 32
	cmds := make([]*exec.Cmd, n)
	outs := make([]bytes.Buffer, n)
	for i := range cmds {
		cmds[i] = exec.Command(exe, "the-client", dir, "one", "sh", "-c", "echo $PPID")
		cmds[i].Stdout, cmds[i].Stderr = &outs[i], &outs[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	pid := ""
	for i, c := range cmds {
		if err := c.Wait(); err != nil {
			t.Errorf("client %d: %v: %s", i, err, &outs[i])
			continue
		}
		if got := strings.TrimSpace(outs[i].String()); pid == "" {
			pid = got
		} else if got != pid {
			t.Errorf("client %d was served by %s, another by %s", i, got, pid)
		}
	}
	if st := status(t, dir); strconv.Itoa(st.PID) != pid || len(st.Kept) != 1 {
		t.Errorf("status %+v, keeper was %s", st, pid)
	}
	if n := lines(dir, "opened"); n != 1 {
		t.Errorf("%d connections were opened", n)
	}
}

// Clients of two builds at once take the place from each other, and still each is served.
func TestBuildsRace(t *testing.T) {
	dir := place(t)
	exe, _ := os.Executable()
	cmds := make([]*exec.Cmd, 12)
	outs := make([]bytes.Buffer, len(cmds))
	for i := range cmds {
		cmds[i] = exec.Command(exe, "the-client", dir, []string{"one", "two"}[i%2], "sh", "-c", "sleep 0.2; echo ok")
		cmds[i].Stdout, cmds[i].Stderr = &outs[i], &outs[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range cmds {
		if err := c.Wait(); err != nil || outs[i].String() != "ok\n" {
			t.Errorf("client %d: %v: %s", i, err, &outs[i])
		}
	}
	started := func() int {
		p, _ := os.ReadFile(filepath.Join(dir, "log"))
		return bytes.Count(p, []byte("keeper listens"))
	}
	soon(t, "all keepers but one have ended", func() bool { return lines(dir, "ended") == started()-1 })
}

func TestStarted(t *testing.T) {
	dir := place(t)
	opt := startOptions(dir, "one", time.Minute)
	// a file that the user's shell left open, as flock(1) does
	held, err := os.Create(filepath.Join(dir, "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	fd, err := syscall.Dup(int(held.Fd())) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	err = keeper.Start(t.Context(), opt)
	syscall.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(t.Context(), opt); err != nil { // a second one sees the first and ends
		t.Errorf("a second: %v", err)
	}
	st := status(t, dir)
	if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", st.PID)); cwd != "/" {
		t.Errorf("its directory is %s", cwd)
	}
	if sid, _ := sessionOf(st.PID); sid != st.PID {
		t.Errorf("its session is %d, not %d", sid, st.PID)
	}
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", st.PID))
	for _, e := range fds {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", st.PID, e.Name())); to == held.Name() {
			t.Errorf("it has %s open", to)
		}
	}
	info, err := os.Stat(opt.Socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v %v", info.Mode(), err)
	}
	c, err := keeper.Dial(t.Context(), opt.Socket, request("one"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if env := output(t, c, "env"); strings.Contains(env, "HOSTLER_KEEPER_READY") {
		t.Error("what it runs gets the starter's variable")
	}
	soon(t, "due work is looked for at the start and when it said", func() bool { return lines(dir, "due") == 2 })
	if err := keeper.Ring(t.Context(), opt.Socket, ""); err != nil {
		t.Fatal(err)
	}
	soon(t, "and when the bell rings", func() bool { return lines(dir, "due") == 3 })
}

func sessionOf(pid int) (int, error) {
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(p[bytes.LastIndexByte(p, ')')+1:]))
	return strconv.Atoi(f[3])
}

func TestKilledInTheMiddle(t *testing.T) {
	dir := place(t)
	opt := startOptions(dir, "one", time.Minute)
	c, err := keeper.Ensure(t.Context(), opt, request("one"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pid := status(t, dir).PID
	pr, pw, _ := os.Pipe()
	defer pr.Close()
	go func() {
		pr.Read(make([]byte, 10))
		syscall.Kill(pid, syscall.SIGKILL)
	}()
	if _, err := c.Run(
		t.Context(), &compute.Command{Args: []string{"sh", "-c", "echo; exec sleep 20"}, Stdout: pw},
	); !errors.Is(err, compute.ErrLost) {
		t.Errorf("got %v", err)
	}
	pw.Close()
	gone(t, pid)
	// its socket is still there, and stale
	if _, err := os.Stat(opt.Socket); err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Dial(t.Context(), opt.Socket, request("one")); !errors.Is(err, keeper.ErrNone) ||
		!errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("Dial: %v", err)
	}
	again, err := keeper.Ensure(t.Context(), opt, request("one"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := output(t, again, "echo", "x"); got != "x" {
		t.Errorf("got %q", got)
	}
}

func TestClientKilled(t *testing.T) {
	dir := place(t)
	exe, _ := os.Executable()
	file := filepath.Join(dir, "pid")
	cmd := exec.Command(exe, "the-client", dir, "one", "sh", "-c", "echo $$ > "+file+".new && mv "+file+".new "+file+"; sleep 1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	soon(t, "the command runs", func() bool {
		p, err := os.ReadFile(file)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(p)))
		return err == nil
	})
	if n := status(t, dir).Clients; n != 1 {
		t.Errorf("%d clients", n)
	}
	cmd.Process.Kill()
	cmd.Wait()
	soon(t, "what it ran has ended", func() bool { return syscall.Kill(pid, 0) != nil })
	soon(t, "and it is counted out", func() bool { return status(t, dir).Clients == 0 })
}

func TestEndsByItself(t *testing.T) {
	dir := place(t)
	opt := startOptions(dir, "one", 300*time.Millisecond)
	c, err := keeper.Ensure(t.Context(), opt, request("one"))
	if err != nil {
		t.Fatal(err)
	}
	pid := status(t, dir).PID
	// longer than that, but in use
	if got := output(t, c, "sh", "-c", "sleep 1; echo x"); got != "x" {
		t.Errorf("got %q", got)
	}
	c.Close()
	gone(t, pid)
	if _, err := os.Stat(opt.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if lines(dir, "closed") != 1 || lines(dir, "ended") != 1 {
		t.Error("it did not close what it kept, or did not end well")
	}
	if err := keeper.Ring(t.Context(), opt.Socket, ""); !errors.Is(err, keeper.ErrNone) {
		t.Errorf("Ring: %v", err)
	}
	if err := keeper.Wake(t.Context(), opt, "one"); err != nil {
		t.Errorf("Wake: %v", err)
	}
}

func TestOtherBuild(t *testing.T) {
	dir := place(t)
	old := startOptions(dir, "one", time.Minute)
	c, err := keeper.Ensure(t.Context(), old, request("one"))
	if err != nil {
		t.Fatal(err)
	}
	pid := status(t, dir).PID
	ended := make(chan string, 1)
	pr, pw, _ := os.Pipe()
	go func() {
		var out bytes.Buffer
		exit, err := c.Run(
			context.Background(),
			&compute.Command{Args: []string{"sh", "-c", "echo >&2; read x; echo $x"}, Stdin: pr, Stdout: &out},
		)
		ended <- fmt.Sprint(out.String(), exit, err)
	}()
	if _, err := keeper.Dial(t.Context(), old.Socket, request("two")); !errors.Is(err, keeper.ErrOther) {
		t.Errorf("Dial: %v", err)
	}
	c2, err := keeper.Ensure(t.Context(), startOptions(dir, "two", time.Minute), request("two"))
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	if now := status(t, dir); now.PID == pid || now.Build != "two" {
		t.Errorf("still %+v", now)
	}
	output(t, c2, "true")
	fmt.Fprintln(pw, "all well") // the old one's command was left alone
	pw.Close()
	if got := <-ended; got != "all well\n{0  } <nil>" {
		t.Errorf("got %q", got)
	}
	c.Close()
	gone(t, pid)
	output(t, c2, "true")
}
