package apiprocess

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/text/visible"
)

// Supervisor starts the API process and serves it, in the engine.
type Supervisor struct {
	Listeners []net.Listener     // for clients, without TLS
	Files     *certificate.Files // nil: no TLS
	Slapos    bool               // the controller is a SlapOS master too
	Version   string
	Handler   http.Handler // the engine's
	Hosts     Hosts        // the names by which it is asked
	Log       *slog.Logger
	Strict    bool  // it does not serve if it cannot be confined
	Lacking   error // why there is none for listeners on the network; nil: it is as it is to be

	probing probing                      // usualProbing, unless a test says otherwise
	sockets int                          // likewise MaxConnections,
	bodies  int64                        // and maxBodies
	state   atomic.Pointer[processState] // of the process that serves; nil: none
	senders chan *fdSender               // gives the sender to the process that serves
}

const (
	startTime   = 30 * time.Second       // until it serves, on a machine that is very busy
	minPause    = 100 * time.Millisecond // later the next is started, after one that ended at once,
	maxPause    = 10 * time.Second       // and each time twice that, at most this
	stableAfter = time.Minute            // one that lived so long did not end at once
	maxLine     = 4 << 10                // bytes of a line that it says
	maxLines    = 1000                   // lines that it says
)

// probing says how often an API process is asked whether it answers, and how long it may take. One
// that takes longer is ended.
type probing struct{ every, time time.Duration }

var usualProbing = probing{every: 5 * time.Second, time: 20 * time.Second}

// SplitListeners separates unix sockets, where the kernel names the user, from listeners on the
// network. The engine serves the first itself, so that nobody else can say who a user is. If apart
// is false it serves all itself.
func SplitListeners(all []net.Listener, version string, apart bool) (local []net.Listener, remote *Supervisor) {
	remote = &Supervisor{Version: version}
	for _, l := range all {
		if !apart || l.Addr().Network() == "unix" {
			local = append(local, l)
		} else {
			remote.Listeners = append(remote.Listeners, l)
		}
	}
	return local, remote
}

// processState is what is known of a process that serves.
type processState struct {
	pid, user int // 0: it is our user's
	lacks     []string
}

// State describes the API process; "": there is none.
func (f *Supervisor) State() string {
	if f.Lacking != nil {
		return "none: " + f.Lacking.Error()
	}
	if len(f.Listeners) == 0 {
		return ""
	}
	now := f.state.Load()
	if now == nil {
		return "it does not run"
	}
	out := fmt.Sprintf("process %d, user %d", now.pid, cmp.Or(now.user, os.Geteuid()))
	if len(now.lacks) > 0 {
		out += ", without " + strings.Join(now.lacks, "; ")
	}
	return out
}

// ReadyAnd says why requests are not served now: the API process does not run, or look says why.
func (f *Supervisor) ReadyAnd(look func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if len(f.Listeners) > 0 && f.state.Load() == nil {
			return errors.New("the API process does not run")
		}
		return look(ctx)
	}
}

// Start is serve in the background, if there is a listener, and returns when the API process
// serves. ended hears of its end. false: it does not serve.
func (f *Supervisor) Start(ctx context.Context, all *sync.WaitGroup, ended func(error)) bool {
	if len(f.Listeners) == 0 {
		ended(nil)
		return true
	}
	serving, failed := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		defer close(failed)
		ended(f.serve(ctx, func() { close(serving) }))
	})
	select {
	case <-serving:
		return true
	case <-failed:
		return false
	}
}

// accept passes the connections of a listener to the process that serves. It returns when the
// listener is closed.
func (f *Supervisor) accept(ctx context.Context, l net.Listener, number int) {
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return
		}
		if err != nil { // such as too many open files
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			f.Log.Warn("a connection is not accepted", "listen", l.Addr().String(), "err", err, "pause", pause)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		}
		pause = 0
		select {
		case d := <-f.senders:
			if err := d.sendConn(c, number); err != nil {
				f.Log.Warn("a connection is not handed to the API process", "err", err)
			}
		case <-ctx.Done():
			_ = c.Close()
			return
		}
	}
}

// serve has the API process run until ctx ends, and starts it again whenever it ends before. The
// error of the first start is returned; then ready is not called.
func (f *Supervisor) serve(ctx context.Context, ready func()) error {
	f.senders = make(chan *fdSender)
	listening, stop := context.WithCancel(ctx)
	var accepting sync.WaitGroup
	for i, l := range f.Listeners {
		accepting.Go(func() { f.accept(listening, l, i) })
		context.AfterFunc(listening, func() { _ = l.Close() })
	}
	defer accepting.Wait()
	defer stop()
	pause := minPause
	for first := true; ; first = false {
		begun := time.Now()
		err := f.runOnce(ctx, func() {
			if first {
				ready()
			}
		}, first)
		f.state.Store(nil)
		if ctx.Err() != nil {
			return nil
		}
		var failed *startError
		if first && errors.As(err, &failed) {
			return err
		}
		if time.Since(begun) > stableAfter {
			pause = minPause
		}
		f.Log.Error("the API process ended: it is started again", "err", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// startError is that of a process that never served.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// runOnce runs it once.
func (f *Supervisor) runOnce(ctx context.Context, up func(), first bool) error {
	p, err := f.startProcess()
	if err != nil {
		return &startError{fmt.Errorf("start the API process: %w", err)}
	}
	answering, quiet := context.WithCancel(context.WithoutCancel(ctx))
	defer quiet()
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv := &http.Server{
			Handler:  engineHandler(f.Files, f.Hosts.Only(allowPage(f.Handler))),
			ErrorLog: slog.NewLogLogger(f.Log.Handler(), slog.LevelDebug),
		}
		_ = server.Serve(answering, srv, p.sender, time.Second) // the process says why it ended
	}()
	lacks, err := p.awaitReady(ctx)
	if err != nil {
		p.kill()
		quiet()
		<-served
		return &startError{fmt.Errorf("the API process does not serve: %w", err)}
	}
	if first && len(lacks) > 0 {
		f.Log.Warn("the API process is not confined in all ways", "lacks", strings.Join(lacks, "; "))
	}
	f.state.Store(&processState{p.cmd.Process.Pid, p.user, lacks})
	up()
	ended := f.supervise(ctx, p, served)
	quiet()
	<-served
	return cmp.Or(ended, errors.New("it ended by itself"))
}

// supervise gives a process's sender to those who accept, and asks the process whether it
// answers, until it ends. It returns how the process ended. One that is not served any more is
// ended.
func (f *Supervisor) supervise(ctx context.Context, p *process, served <-chan struct{}) error {
	asking, done := context.WithCancel(ctx)
	hangs := make(chan error, 1)
	var probes sync.WaitGroup
	probes.Go(func() { hangs <- p.probe(asking, cmp.Or(f.probing, usualProbing)) })
	defer probes.Wait()
	defer done()
	for {
		select {
		case f.senders <- p.sender:
		case err := <-p.ended:
			return err
		case err := <-hangs:
			if ctx.Err() == nil {
				f.state.Store(nil)
				p.kill()
				return errors.Join(err, <-p.ended)
			}
		case <-served:
			f.state.Store(nil)
			p.kill()
			return errors.Join(errors.New("the engine does not serve it any more"), <-p.ended)
		case <-ctx.Done():
			_ = p.in.Close() // told to end
			select {
			case err := <-p.ended:
				return err
			case <-time.After(grace + grace/6):
				p.kill()
				return <-p.ended
			}
		}
	}
}

// probe asks the process again and again whether it is healthy. It returns when no question was
// answered in the time that it has, or when ctx ends.
func (p *process) probe(ctx context.Context, pace probing) error {
	answered := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pace.every):
		}
		err := p.healthy(ctx, pace.time)
		if err == nil {
			answered = time.Now()
		} else if time.Since(answered) > pace.time {
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// healthy asks the process once, as a stranger would, on a connection of the engine's own.
func (p *process) healthy(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	one := http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return p.sender.sendPair(kindProbe) },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/healthz", nil)
	if err != nil {
		return err
	}
	got, err := one.RoundTrip(r)
	if err != nil {
		return err
	}
	return got.Body.Close() // whatever it says, it answers
}

// process is one that was started.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *os.File
	sender *fdSender
	user   int // that it becomes; 0: none
	ended  chan error
}

// startProcess starts the program again, as the API process. It has nothing of our environment,
// and no file but those that it is given. Where it shares our user it has a user namespace of
// its own, if this machine gives it one.
func (f *Supervisor) startProcess() (*process, error) {
	s := setup{
		Version: f.Version, Listeners: len(f.Listeners), TLS: f.Files != nil, Slapos: f.Slapos, Engine: os.Getpid(), Strict: f.Strict,
		Sockets: f.sockets, Bodies: cmp.Or(f.bodies, maxBodies), Threads: maxThreads,
	}
	var err error
	if s.User, s.Group, err = chooseUser(); err != nil {
		return nil, err
	}
	if s.Sockets == 0 {
		if s.Sockets, err = MaxConnections(); err != nil {
			return nil, err
		}
	}
	alone := s.User == 0 && os.Geteuid() != 0
	p, err := f.startIn(s, alone)
	if err != nil && alone {
		s.Threads = sharedThreads()
		p, err = f.startIn(s, false)
	}
	return p, err
}

// startIn starts it. alone: in a user namespace of its own.
func (f *Supervisor) startIn(s setup, alone bool) (*process, error) {
	program := "/proc/self/exe" // this very program, also when another is in its place by now
	if runtime.GOOS != "linux" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	pair, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer pair[1].Close()
	c, err := net.FileConn(pair[0])
	if err = errors.Join(err, pair[0].Close()); err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: program, Args: []string{os.Args[0], Subcommand}, Env: []string{}, Dir: "/", ExtraFiles: []*os.File{pair[1]}}
	if alone {
		ownUserNamespace(cmd)
	}
	for _, name := range []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "TZ"} {
		if v := os.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	p := &process{cmd: cmd, sender: newFDSender(c.(*net.UnixConn), s.Sockets), user: s.User, ended: make(chan error, 1)}
	if err := p.start(f.Log); err != nil {
		_ = c.Close()
		return nil, err
	}
	if err := json.NewEncoder(p.in).Encode(s); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// MaxConnections is how many connections the API process may have to this one: a quarter of the
// files that this one may open. Each request that waits has one.
func MaxConnections() (int, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 0, err
	}
	return int(min(max(files.Cur/4, 64), 16<<10)), nil
}

// start starts the process, and writes what it says to the log.
func (p *process) start(log *slog.Logger) (err error) {
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	errs, e, err := os.Pipe()
	if err != nil {
		return errors.Join(err, out.Close())
	}
	defer e.Close()
	p.out, p.cmd.Stdout, p.cmd.Stderr = out, w, e
	started := make(chan error)
	go func() {
		// Linux ends the process with the thread that started it, so this one stays for it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.ended <- p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return errors.Join(err, out.Close(), errs.Close())
	}
	go func() {
		defer errs.Close()
		lines := bufio.NewReaderSize(errs, maxLine)
		for said := 1; ; said++ {
			line, _, err := lines.ReadLine()
			switch {
			case err != nil:
				return
			case said < maxLines:
				log.Warn("the API process says", "text", visible.Line(string(line)))
			case said == maxLines:
				log.Warn("the API process says too much: the rest is left out")
			}
		}
	}()
	return nil
}

// awaitReady waits until it serves.
func (p *process) awaitReady(ctx context.Context) ([]string, error) {
	defer p.out.Close()
	defer context.AfterFunc(ctx, func() { _ = p.out.SetReadDeadline(time.Unix(1, 0)) })()
	_ = p.out.SetReadDeadline(time.Now().Add(startTime))
	var said ready
	err := json.NewDecoder(io.LimitReader(p.out, maxAnswer)).Decode(&said)
	return said.Lacks, err
}

func (p *process) kill() { _ = p.cmd.Process.Kill() }
