package receive

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Options say where workspaces are. The zero value is valid.
type Options struct {
	// the absolute path of all workspaces, as commands see it, made at the first use. "": in the
	// user's cache, or the machine's
	Dir string
	// the absolute path of the workspaces of other users, who must be able to reach it; "": Dir
	Others string
	Root   string // the directory that is / for the commands; "": our own
	// reports whether the file system of an open directory ignores case in names; nil: try it
	Folds func(int) bool
	Fault func(step string) error // for tests: called before each step; nil: none
}

// Conn is a compute.Conn with workspaces.
type Conn struct {
	inner compute.Conn
	opt   Options
	life  context.Context // of the conversations
	stop  context.CancelFunc
	talks sync.WaitGroup

	mu     sync.Mutex
	closed bool
	spaces map[string]*workspaceState
	held   map[string]string // the keys of the workspaces of detached runs, by run
	// the list of the last session, for the next. Only the holder of the workspace changes it
	last *list
	ask  func(run string) bool
}

var (
	_ compute.Conn        = (*Conn)(nil)
	_ provider.Workspacer = (*Conn)(nil)
)

// patience is how long a command waits for the conversation about its workspace. The two may arrive
// in any order.
const patience = 30 * time.Second

// New adds workspaces to inner, whose commands are processes of this machine. Closing the Conn
// closes inner.
func New(inner compute.Conn, opt Options) *Conn {
	if opt.Dir == "" {
		opt.Dir = defaultDir()
	}
	c := &Conn{inner: inner, opt: opt, spaces: make(map[string]*workspaceState), held: make(map[string]string)}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// defaultDir is the machine's cache for root, and the user's for others.
func defaultDir() string {
	if os.Geteuid() == 0 {
		return "/var/cache/hostler/workspaces"
	}
	if cache, err := os.UserCacheDir(); err == nil && filepath.IsAbs(cache) {
		return filepath.Join(cache, "hostler", "workspaces")
	}
	return filepath.Join(os.TempDir(), "hostler-"+strconv.Itoa(os.Geteuid()), "workspaces")
}

// Unwrap returns inner, for its other abilities.
func (c *Conn) Unwrap() compute.Conn { return c.inner }

// workspaceState is a workspace that a conversation has, or that a command waits for.
type workspaceState struct {
	begun chan struct{} // closed when there is a conversation
	// closed when the workspace is complete, or cannot be: then err says why
	ready chan struct{}
	dir   string
	key   string
	tree  int // the workspace, open until runs is done
	owner *owner
	err   error
	over  context.Context // ends with the conversation
	end   context.CancelFunc
	once  sync.Once
	runs  sync.WaitGroup
	users int  // commands that have it; the Conn's mu guards both
	gone  bool // no command may enter any more
}

// setResult records the result of the sync. The first call counts.
func (s *workspaceState) setResult(dir string, err error) {
	s.once.Do(func() {
		s.dir, s.err = dir, err
		close(s.ready)
	})
}

// ofLocked returns the state of a token's workspace. The first caller makes it.
func (c *Conn) ofLocked(token string) *workspaceState {
	s := c.spaces[token]
	if s == nil {
		s = &workspaceState{begun: make(chan struct{}), ready: make(chan struct{})}
		s.over, s.end = context.WithCancel(c.life)
		c.spaces[token] = s
	}
	return s
}

func cannotStart(err error) error {
	return &compute.Error{Op: "workspace", Kind: compute.ErrCannotStart, Err: err}
}

// Run implements compute.Conn.
func (c *Conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if cmd.Workspace == "" {
		return c.inner.Run(ctx, cmd)
	}
	c.mu.Lock()
	s := c.ofLocked(cmd.Workspace)
	if c.closed || s.gone {
		c.mu.Unlock()
		return compute.Exit{}, cannotStart(errors.New("the workspace was given back"))
	}
	s.users++
	s.runs.Add(1)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		s.users--
		if s.users == 0 && !isClosed(s.begun) { // no conversation has it
			delete(c.spaces, cmd.Workspace)
		}
		c.mu.Unlock()
		s.runs.Done()
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-s.begun:
	case <-late.C:
		return compute.Exit{}, cannotStart(errors.New("nothing was heard of its workspace"))
	case <-ctx.Done():
		return compute.Exit{}, ctx.Err()
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		return compute.Exit{}, ctx.Err()
	}
	if s.err != nil {
		return compute.Exit{}, cannotStart(s.err)
	}
	own := *cmd
	own.Workspace, own.Env = "", maps.Clone(cmd.Env)
	if !path.IsAbs(cmd.Dir) {
		sub := strings.TrimPrefix(path.Clean("/"+cmd.Dir), "/")
		own.Dir = path.Join(s.dir, sub)
		s.provide(sub)
	}
	if own.Env == nil {
		own.Env = make(map[string]string)
	}
	own.Env["HOSTLER_WORKSPACE"] = s.dir
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// it keeps the workspace after its client has gone
	if cmd.Hold != nil && cmd.Hold.Run != "" {
		defer context.AfterFunc(c.life, cancel)()
		defer c.holds(cmd.Hold.Run, s.key)()
		return c.inner.Run(ctx, &own)
	}
	defer context.AfterFunc(s.over, cancel)()
	exit, err := c.inner.Run(ctx, &own)
	if err != nil && s.over.Err() != nil {
		err = &compute.Error{Op: "workspace", Kind: compute.ErrLost, Err: errors.New("the workspace was given back while the command ran")}
	}
	return exit, err
}

// holds notes that a detached run has a workspace, until done is called.
func (c *Conn) holds(run, key string) (done func()) {
	c.mu.Lock()
	c.held[run] = key
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		delete(c.held, run)
		c.mu.Unlock()
	}
}

// endDetached ends the runs that have a workspace and no client.
func (c *Conn) endDetached(key string) {
	var all []string
	c.mu.Lock()
	ask := c.ask
	for run, k := range c.held {
		if k == key {
			all = append(all, run)
		}
	}
	c.mu.Unlock()
	for _, run := range all {
		if ask != nil {
			ask(run)
		}
	}
}

// OnYield sets the function that ends a detached run without clients when another session wants its
// workspace. It reports whether it ended the run.
func (c *Conn) OnYield(ask func(run string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ask = ask
}

// provide makes the directory of the workspace where a command starts, if it is missing. A
// directory without files is not part of a tree.
func (s *workspaceState) provide(sub string) {
	d := dirs{top: s.tree, owner: s.owner}
	defer d.close()
	if _, err := d.open(sub, false); errors.Is(err, unix.ENOENT) {
		_, _ = d.open(sub, true) // the start of the command reports an error
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Workspace implements provider.Workspacer.
func (c *Conn) Workspace(ctx context.Context, token string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &compute.Error{Op: "workspace", Kind: compute.ErrLost, Err: errors.New("the connection is closed")}
	}
	s := c.ofLocked(token)
	if isClosed(s.begun) {
		return nil, &compute.Error{Op: "workspace", Kind: compute.ErrConflict, Err: errors.New("a workspace of this token is open already")}
	}
	here, there, err := pair()
	if err != nil {
		return nil, &compute.Error{Op: "workspace", Kind: compute.ErrFailed, Err: err}
	}
	close(s.begun)
	c.talks.Go(func() {
		c.talk(s, here)
		c.leave(token, s)
		_ = here.Close()
	})
	return &end{there, s.end}, nil
}

// end is the client's end of a conversation. Closing it ends the work at the other end, also while
// that reads nothing.
type end struct {
	net.Conn
	over func()
}

func (e *end) Close() error {
	e.over()
	return e.Conn.Close()
}

// CloseWrite ends the outgoing half of the conversation.
func (e *end) CloseWrite() error {
	if c, ok := e.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// pair makes the two ends of a conversation, with a buffer in each direction.
func pair() (here, there net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "workspace")
		c, ferr := net.FileConn(f)
		err = errors.Join(err, ferr, f.Close())
		ends[i] = c
	}
	if err != nil {
		for _, c := range ends {
			if c != nil {
				_ = c.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}

// leave forgets a workspace. No command enters it any more.
func (c *Conn) leave(token string, s *workspaceState) {
	c.mu.Lock()
	delete(c.spaces, token)
	s.gone = true
	c.mu.Unlock()
	s.setResult("", errors.New("the workspace was given back"))
	s.end()
}

// Close ends all conversations, and the inner Conn.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	err := c.inner.Close()
	c.talks.Wait()
	return err
}

// Put implements compute.Conn.
func (c *Conn) Put(ctx context.Context, dir string, tar io.Reader) error {
	return c.inner.Put(ctx, dir, tar)
}

// Get implements compute.Conn.
func (c *Conn) Get(ctx context.Context, path string, w io.Writer) error {
	return c.inner.Get(ctx, path, w)
}
