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

// peer is who is at the other end of a unix socket.
type peer struct{ uid int }

// withPeer notes who is at the other end of a connection, where the kernel knows it.
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
		return ctx // nobody
	}
	return context.WithValue(ctx, peerKey{}, peer{uid})
}

// bearer is the token that a request presents.
func bearer(r *http.Request) (token string, ok bool) {
	const scheme = "Bearer "
	given := r.Header.Get("Authorization")
	if len(given) <= len(scheme) || !strings.EqualFold(given[:len(scheme)], scheme) {
		return "", false
	}
	return given[len(scheme):], true
}

// sameToken compares tokens in a time that tells nothing of where they differ.
func sameToken(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// unknown is for those whom we do not know.
func unknown(text, hint string) error {
	return &compute.Error{Kind: compute.ErrDenied, Err: errors.New(text), Hint: hint}
}

// nameKept is how long a user's name is taken for his without asking the machine again.
const nameKept = 10 * time.Second

// userNames are those that were asked for.
var userNames struct {
	mu  sync.Mutex
	all map[int]namedUser
}

// namedUser is a user's name, and when the machine was asked for it.
type namedUser struct {
	name  string
	asked time.Time
}

// UserName is the name of a user of this machine. It is asked for with each request by the socket,
// and the machine reads a file for it.
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

// ownAlone reports whether a secret's file is its owner's alone, or one that root has given to our
// own group alone, as a cluster gives secrets to a pod's user.
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
			// where the records are in a database nobody has made it yet
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

// makeToken makes a token in a file, unless another controller of the same directory has made one
// meanwhile. It is there whole or not at all.
func makeToken(file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".token-*") // for its owner alone
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

// InnerDoor is a listener for who is in the same process.
type InnerDoor struct {
	Conns  chan net.Conn
	once   sync.Once
	Closed chan struct{}
}

func (l *InnerDoor) Dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	return l.enter(ctx, here, there)
}

// dialAs is dial for who is somebody.
func (l *InnerDoor) dialAs(who auth.Principal) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		return l.enter(ctx, here, &insider{there, who})
	}
}

// insider is a connection of who is in the same process.
type insider struct {
	net.Conn
	who auth.Principal
}

type insiderKey struct{}

// byInside knows who is in the same process.
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

// Accept waits for the next one.
func (l *InnerDoor) Accept() (net.Conn, error) {
	select {
	case c := <-l.Conns:
		return c, nil
	case <-l.Closed:
		return nil, net.ErrClosed
	}
}

// Close lets nobody in any more.
func (l *InnerDoor) Close() error {
	l.once.Do(func() { close(l.Closed) })
	return nil
}

// Addr is none.
func (l *InnerDoor) Addr() net.Addr {
	return &net.UnixAddr{Name: fmt.Sprint("process ", os.Getpid()), Net: "unix"}
}
