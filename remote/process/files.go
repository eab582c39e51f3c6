package process

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/tree"
)

// Put unpacks a tar stream into dir. See compute.Conn and Unpack.
func (e *Conn) Put(ctx context.Context, dir string, tar io.Reader) error {
	if err := e.open("exec.Put"); err != nil {
		return err
	}
	r, err := e.openDir(dir)
	if err != nil {
		return fileError("exec.Put", err)
	}
	defer func() { _ = r.Close() }()
	return fileError("exec.Put", tree.Unpack(ctx, r, readerFunc(e.guard("exec.Put", tar.Read)), tree.Options{Owner: e.opt.Owner}))
}

// Get packs path. See compute.Conn and Pack.
func (e *Conn) Get(ctx context.Context, name string, w io.Writer) error {
	if err := e.open("exec.Get"); err != nil {
		return err
	}
	r, base, err := e.openParent(name)
	if err != nil {
		return fileError("exec.Get", err)
	}
	defer func() { _ = r.Close() }()
	return fileError("exec.Get", tree.Pack(ctx, r, base, writerFunc(e.guard("exec.Get", w.Write))))
}

// guard makes reads or writes fail once the connection is closed.
func (e *Conn) guard(op string, f func([]byte) (int, error)) func([]byte) (int, error) {
	return func(b []byte) (int, error) {
		if err := e.open(op); err != nil {
			return 0, err
		}
		return f(b)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// fileError adds a kind to an error of files.
func fileError(op string, err error) error {
	var ce *compute.Error
	switch {
	case err == nil, errors.As(err, &ce) && ce.Op == op, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &ce):
		return &compute.Error{Op: op, Kind: ce.Kind, Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &compute.Error{Op: op, Kind: compute.ErrNotFound, Err: err}
	case errors.Is(err, fs.ErrPermission):
		return &compute.Error{Op: op, Kind: compute.ErrDenied, Err: err}
	default:
		return &compute.Error{Op: op, Kind: compute.ErrFailed, Err: err}
	}
}

// place turns a name into an absolute one: below the root, or on this machine.
func (e *Conn) place(s *rootFS, name string) (string, error) {
	if e.opt.Root == "" && len(e.opt.Prefix) > 0 {
		return "", &compute.Error{
			Op: "exec.place", Kind: compute.ErrInvalid,
			Err: errors.New("files behind a prefix command need its root directory"),
		}
	}
	if path.IsAbs(name) {
		return name, nil
	}
	base := e.opt.Dir
	if base == "" && e.opt.Root != "" {
		base = "/"
		if who, err := passwd(s.fsys(), "", os.Geteuid()); err == nil {
			if fi, err := s.stat(who.home); err == nil && fi.IsDir() {
				base = who.home
			}
		}
	}
	if base == "" && name == "" {
		return ".", nil
	}
	// Not cleaned: a ".." after a link means what it means to the kernel.
	if base == "" {
		return name, nil
	}
	return base + "/" + name, nil
}

// openDir opens a directory to unpack into and makes it if it is missing.
func (e *Conn) openDir(dir string) (*os.Root, error) {
	s, err := e.openRoot()
	if err != nil {
		return nil, err
	}
	defer s.close()
	if dir, err = e.place(s, dir); err != nil {
		return nil, err
	}
	if s.root == nil {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
		return os.OpenRoot(dir)
	}
	in, err := inside(s.root, dir, true)
	if err != nil {
		return nil, err
	}
	if err := s.root.MkdirAll(in, 0o777); err != nil {
		return nil, err
	}
	return tree.OpenDir(s.root, in)
}

// openParent opens the directory that holds name. A name with a slash at its end stands for the
// target of a link.
func (e *Conn) openParent(name string) (*os.Root, string, error) {
	if name == "" {
		return nil, "", &tree.FileError{Path: name, Err: fs.ErrNotExist}
	}
	s, err := e.openRoot()
	if err != nil {
		return nil, "", err
	}
	defer s.close()
	if name, err = e.place(s, name); err != nil {
		return nil, "", err
	}
	follow := name[len(name)-1] == '/' || path.Base(name) == "." || path.Base(name) == ".."
	if s.root == nil {
		if follow {
			if name, err = filepath.EvalSymlinks(name); err == nil {
				name, err = filepath.Abs(name)
			}
		}
		if err != nil {
			return nil, "", err
		}
		r, err := os.OpenRoot(filepath.Dir(name))
		if name == "/" {
			return r, ".", err
		}
		return r, filepath.Base(name), err
	}
	in, err := inside(s.root, name, follow)
	if err != nil {
		return nil, "", err
	}
	r, err := tree.OpenDir(s.root, path.Dir(in))
	return r, path.Base(in), err
}

// Dial connects from this machine; a unix path is looked up in the root.
func (e *Conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := e.open("exec.Dial"); err != nil {
		return nil, err
	}
	address, held, err := e.address("exec.Dial", network, address, false)
	if err != nil {
		return nil, err
	}
	if held != nil {
		defer func() { _ = held.Close() }()
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, &compute.Error{Op: "exec.Dial", Kind: compute.ErrUnavailable, Err: err}
	}
	return e.tied(c), nil
}

// Listen announces on this machine; a unix path is looked up in the root.
func (e *Conn) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if err := e.open("exec.Listen"); err != nil {
		return nil, err
	}
	asked := address
	address, held, err := e.address("exec.Listen", network, address, true)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, address)
	if err != nil {
		if held != nil {
			_ = held.Close()
		}
		kind := compute.ErrFailed
		if errors.Is(err, syscall.EADDRINUSE) {
			kind = compute.ErrConflict
		}
		return nil, &compute.Error{Op: "exec.Listen", Kind: kind, Err: err}
	}
	t := &tiedListener{Listener: l, e: e, addr: l.Addr(), held: held, gone: make(chan struct{})}
	if network == "unix" {
		t.addr = &net.UnixAddr{Net: network, Name: asked} // its name inside of the root
	}
	go t.watch()
	return t, nil
}

// address returns the address to connect to or to listen on, and a file that must stay open as long
// as the address is in use; nil: none.
func (e *Conn) address(op, network, address string, listen bool) (string, *os.File, error) {
	if len(e.opt.Prefix) > 0 {
		return "", nil, &compute.Error{
			Op: op, Kind: compute.ErrInvalid, Err: errors.New("nobody knows which network is behind a prefix command"),
		}
	}
	if network != "tcp" && network != "unix" {
		return "", nil, &compute.Error{Op: op, Kind: compute.ErrInvalid, Err: errors.New("no such network: " + network)}
	}
	if network == "tcp" || e.opt.Root == "" {
		return address, nil, nil
	}
	s, err := e.openRoot()
	if err != nil {
		return "", nil, err
	}
	defer s.close()
	in, err := inside(s.root, address, true)
	if err != nil {
		return "", nil, fileError(op, err)
	}
	address, held, err := socketIn(s.root, in, listen)
	if err != nil {
		kind := compute.ErrUnavailable
		if listen {
			kind = compute.ErrFailed
		}
		return "", nil, &compute.Error{Op: op, Kind: kind, Err: &fs.PathError{Op: "open", Path: in, Err: tree.Cause(err)}}
	}
	return address, held, nil
}

// tiedConn is a connection that ends with its Conn.
type tiedConn struct {
	net.Conn
	gone chan struct{}
	once sync.Once
}

// tied returns c so that it is closed when e is.
func (e *Conn) tied(c net.Conn) net.Conn {
	t := &tiedConn{Conn: c, gone: make(chan struct{})}
	go func() {
		select {
		case <-e.done:
			_ = c.Close()
		case <-t.gone:
		}
	}()
	return t
}

func (t *tiedConn) Close() error {
	t.once.Do(func() { close(t.gone) })
	return t.Conn.Close()
}

// CloseWrite ends one direction, as both kinds of connection can.
func (t *tiedConn) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

type tiedListener struct {
	net.Listener
	e    *Conn
	addr net.Addr
	held *os.File // the directory that its address stands in; may be nil
	gone chan struct{}
	once sync.Once
}

func (t *tiedListener) Addr() net.Addr { return t.addr }

func (t *tiedListener) watch() {
	select {
	case <-t.e.done:
		_ = t.end()
	case <-t.gone:
	}
}

// end closes the listener, which removes its socket by the address, and only then the
// directory.
func (t *tiedListener) end() error {
	err := t.Listener.Close()
	if t.held != nil {
		_ = t.held.Close()
	}
	return err
}

func (t *tiedListener) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return t.e.tied(c), nil
}

func (t *tiedListener) Close() error {
	t.once.Do(func() { close(t.gone) })
	return t.end()
}
