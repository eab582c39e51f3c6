package main

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

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/keeper"
)

type peerKey struct{}

// peer is who is at the other end of a unix socket.
type peer struct{ uid int }

// withPeer notes who is at the other end of a connection, where the kernel knows it.
func withPeer(ctx context.Context, c net.Conn) context.Context {
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

// anybody is what users of this machine are where no projects are configured.
var anybody = map[string]auth.Role{"": auth.User}

// authenticate knows the users of this machine by its socket, who are themselves, and whoever presents the token. Our own user and root are
// administrators.
func authenticate(token string) func(*http.Request) (auth.Principal, error) {
	return func(r *http.Request) (auth.Principal, error) {
		if p, ok := r.Context().Value(peerKey{}).(peer); ok {
			out := auth.Principal{Name: userName(p.uid), Here: true, Own: p.uid == os.Geteuid(), Via: "socket", Roles: anybody}
			if out.Own || p.uid == 0 {
				out.Everywhere = auth.Administrator
			}
			return out, nil
		}
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
		if ok && token != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
			return auth.Principal{Name: userName(os.Geteuid()), Own: true, Via: "token file", From: r.RemoteAddr, Everywhere: auth.Administrator}, nil
		}
		return auth.Principal{}, &compute.Error{Kind: compute.ErrDenied, Err: errors.New("nobody whom this controller knows"), Hint: "present a token: Authorization: Bearer TOKEN"}
	}
}

// userName is the name of a user of this machine.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid-" + strconv.Itoa(uid)
}

// token reads the administrator's token, or makes one.
func (a *app) token(file string) (string, error) {
	if file == "" {
		state, err := stateDir()
		if err != nil {
			return "", err
		}
		file = filepath.Join(state, "controller.token")
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		text := rand.Text()
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		_, err = f.WriteString(text + "\n")
		return text, errors.Join(err, f.Close())
	}
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", denied("chmod 600 "+file, "%s: others than its owner can read the token", file)
	}
	b, err := os.ReadFile(file)
	text := strings.TrimSpace(string(b))
	if err == nil && len(text) < 16 {
		err = invalid("remove it, and one is made", "%s: %d characters are no token: at least 16", file, len(text))
	}
	return text, err
}
