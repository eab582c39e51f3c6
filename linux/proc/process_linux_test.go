package proc_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// TestProcess follows a process from its beginning to its end, as it is recorded.
func TestProcess(t *testing.T) {
	c := start(t, "")
	p, err := proc.Identify(c.Process.Pid)
	if err != nil || p.PID != c.Process.Pid || p.Start == 0 || p.Boot == "" {
		t.Fatalf(`p = %+v, err = %v; want no error and p.PID == c.Process.Pid and p.Start != 0 and p.Boot != ""`, p, err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var read proc.Process
	if err := json.Unmarshal(text, &read); err != nil || read != p {
		t.Fatalf("%s is read as %+v, %v", text, read, err)
	}
	if ok, err := read.Alive(); !ok || err != nil {
		t.Errorf("it runs: %v, %v", ok, err)
	}
	h, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.Ended() {
		t.Error("it has ended before its end")
	}
	if err := h.Wait(t.Context(), time.Millisecond); err == nil {
		t.Error("its end was waited for, and it runs")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting is ended: %v", err)
	}
	if err := c.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Wait(t.Context(), time.Minute); err != nil || !h.Ended() {
		t.Errorf("its end: %v, %v", err, h.Ended())
	}
	// Until its parent takes note it is there, and does not live.
	if q, err := proc.Identify(c.Process.Pid); err != nil || q != p {
		t.Errorf("a zombie: %+v, %v", q, err)
	}
	for range 2 {
		if ok, err := p.Alive(); ok || err != nil {
			t.Errorf("it has ended: %v, %v", ok, err)
		}
		if h, err := p.Open(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it has ended and is open: %v, %v", h, err)
		}
		if err := p.Kill(t.Context()); err != nil {
			t.Errorf("the end of what has ended: %v", err)
		}
		_ = c.Wait()
	}
	if _, err := proc.Identify(c.Process.Pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is gone: %v", err)
	}
	if err := errors.Join(h.Signal(unix.SIGTERM), h.Kill(t.Context())); err != nil {
		t.Errorf("what is gone hears: %v", err)
	}
}

// TestKill ends a process that heeds no signal that it can heed, from many sides at once.
func TestKill(t *testing.T) {
	c := start(t, "")
	p, err := proc.Identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	for range 8 {
		go func() { ended <- p.Kill(t.Context()) }()
	}
	for range 8 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if ok, err := p.Alive(); ok || err != nil {
		t.Errorf("it was ended: %v, %v", ok, err)
	}
}

// TestOthersNumber: a process with the number of one that is recorded, and not it, is left alone.
func TestOthersNumber(t *testing.T) {
	c := start(t, "")
	p, err := proc.Identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	was, rebooted, none, first := p, p, proc.Process{}, p
	was.Start--
	rebooted.Boot = strings.Repeat("0", 36)
	first.PID = 1
	for _, q := range []proc.Process{was, rebooted, none, first, {PID: -1, Start: p.Start, Boot: p.Boot}, {PID: p.PID}} {
		if ok, err := q.Alive(); ok || err != nil {
			t.Errorf("%+v lives: %v, %v", q, ok, err)
		}
		if err := q.Kill(t.Context()); err != nil {
			t.Errorf("%+v: err = %v; want no error", q, err)
		}
	}
	if ok, err := p.Alive(); !ok || err != nil {
		t.Errorf("it was ended: %v, %v", ok, err)
	}
}

// TestOpenThread: the number of a thread is no process's.
func TestOpenThread(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tids := make(chan int)
	done := make(chan bool)
	defer close(done)
	go func() {
		runtime.LockOSThread()
		tids <- unix.Gettid()
		<-done
	}()
	tid := <-tids
	if tid == os.Getpid() {
		tid = unix.Gettid()
	}
	if h, err := proc.Open(tid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("h = %v, err = %v; want error fs.ErrNotExist", h, err)
	}
}

// TestFewDescriptors: that there is no descriptor left is an error, and no sign of a process's end.
func TestFewDescriptors(t *testing.T) {
	c := start(t, "", "MARK=few")
	p, err := proc.Identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := was
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	alive, aerr := p.Alive()
	kerr := p.Kill(t.Context())
	_, ferr := proc.Find(func(pid int) bool { return pid == p.PID })
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if alive || !errors.Is(aerr, unix.EMFILE) || !errors.Is(kerr, unix.EMFILE) || !errors.Is(ferr, unix.EMFILE) {
		t.Errorf("alive: %v, %v; kill: %v; find: %v", alive, aerr, kerr, ferr)
	}
	if ok, err := p.Alive(); !ok || err != nil {
		t.Errorf("it was ended: %v, %v", ok, err)
	}
}
