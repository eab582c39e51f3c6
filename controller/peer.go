package controller

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/keeper"
)

type peerKey struct{}

// peer is the user at the other end of a unix socket.
type peer struct{ uid int }

// withPeer adds the other end of a connection to its context, if it is known.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if i, ok := c.(*insider); ok {
		return context.WithValue(ctx, insiderKey{}, i.who)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, err := keeper.Peer(u)
	if err != nil {
		return ctx // the caller is unknown
	}
	return context.WithValue(ctx, peerKey{}, peer{uid})
}

// sameToken compares tokens in constant time.
func sameToken(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// unknown is the error for a caller that is not known.
func unknown(text, hint string) error {
	return &compute.Error{Kind: compute.ErrDenied, Err: errors.New(text), Hint: hint}
}

// nameKept is how long the name of a user is cached.
const nameKept = 10 * time.Second

// userNames caches the names of users.
var userNames struct {
	mu  sync.Mutex
	all map[int]namedUser
}

// namedUser is a user's name and when it was looked up.
type namedUser struct {
	name  string
	asked time.Time
}

// UserName returns the name of a user of this machine, or "uid-N". It is cached, as each request by
// the socket needs it and a lookup reads a file.
func UserName(uid int) string {
	userNames.mu.Lock()
	defer userNames.mu.Unlock()
	if u, ok := userNames.all[uid]; ok && time.Since(u.asked) < nameKept {
		return u.name
	}
	if userNames.all == nil || len(userNames.all) > 1000 {
		userNames.all = map[int]namedUser{}
	}
	name := lookUserName(uid)
	userNames.all[uid] = namedUser{name, time.Now()}
	return name
}

func lookUserName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid-" + strconv.Itoa(uid)
}

// ownAlone reports whether only its owner can read a secret's file. A file of root's that the
// process's own group may read counts too, as Kubernetes gives secrets to a pod that way.
func ownAlone(info fs.FileInfo) bool {
	perm := info.Mode().Perm()
	if perm&0o077 == 0 {
		return true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && perm&0o037 == 0 && stat.Uid == 0 && os.Geteuid() != 0 && int(stat.Gid) == os.Getegid()
}

// administratorToken reads the administrator's token, or makes one.
func administratorToken(file string) (string, error) {
	if file == "" {
		state, err := host.StateDir()
		if err == nil {
			// if the records are in a database the directory may not exist
			err = os.MkdirAll(state, 0o700)
		}
		if err != nil {
			return "", err
		}
		file = filepath.Join(state, "controller.token")
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeToken(file); err == nil {
			info, err = os.Stat(file)
		}
	}
	if err != nil {
		return "", fault.Invalid("give another --token-file", "the controller's token: %w", err)
	}
	if !ownAlone(info) {
		return "", fault.Denied("chmod 600 "+file, "%s: others than its owner can read the token", file)
	}
	b, err := os.ReadFile(file)
	text := strings.TrimSpace(string(b))
	if err == nil && len(text) < 16 {
		err = fault.Invalid("remove it, and one is made", "%s: %d characters are no token: at least 16", file, len(text))
	}
	return text, err
}

// makeToken writes a new token to a file, unless another controller has made one meanwhile. The
// file appears complete or not at all.
func makeToken(file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".token-*") // readable by its owner only
	if err != nil {
		if at := (*fs.PathError)(nil); errors.As(err, &at) {
			at.Path = file
		}
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(rand.Text() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Link(f.Name(), file); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// InnerDoor is a listener for callers in the same process.
type InnerDoor struct {
	Conns  chan net.Conn
	once   sync.Once
	Closed chan struct{}
}

// Dial connects without an identity: the request must authenticate itself.
func (l *InnerDoor) Dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	return l.enter(ctx, here, there)
}

// dialAs returns a Dial whose connections are authenticated as who.
func (l *InnerDoor) dialAs(who auth.Principal) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		return l.enter(ctx, here, &insider{there, who})
	}
}

// insider is a connection of a caller in the same process.
type insider struct {
	net.Conn
	who auth.Principal
}

type insiderKey struct{}

// byInside identifies a caller in the same process.
func byInside(r *http.Request) (auth.Principal, bool, error) {
	who, ok := r.Context().Value(insiderKey{}).(auth.Principal)
	return who, ok, nil
}

func (l *InnerDoor) enter(ctx context.Context, here, there net.Conn) (net.Conn, error) {
	select {
	case l.Conns <- there:
		return here, nil
	case <-l.Closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next connection.
func (l *InnerDoor) Accept() (net.Conn, error) {
	select {
	case c := <-l.Conns:
		return c, nil
	case <-l.Closed:
		return nil, net.ErrClosed
	}
}

// Close refuses new connections.
func (l *InnerDoor) Close() error {
	l.once.Do(func() { close(l.Closed) })
	return nil
}

// Addr returns a placeholder, as there is no address.
func (l *InnerDoor) Addr() net.Addr {
	return &net.UnixAddr{Name: fmt.Sprint("process ", os.Getpid()), Net: "unix"}
}
