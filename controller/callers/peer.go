package callers

import (
	"context"
	"net"
	"os/user"
	"strconv"
	"sync"
	"time"

	"github.com/hostler-project/hostler/host/keeper"
)

type peerKey struct{}

// peer is the user at the other end of a unix socket.
type peer struct{ uid int }

// ConnContext adds the other end of a connection to its context, if it is known. A server that
// authenticates by an Authenticator has it as its ConnContext.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if i, ok := c.(*processConn); ok {
		return context.WithValue(ctx, processKey{}, i.who)
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
