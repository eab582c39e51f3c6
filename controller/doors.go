package controller

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/resource"
	"github.com/hostler-project/hostler/controller/server/login"
	"github.com/hostler-project/hostler/store"
)

// door is one way to authenticate. If ok, the request uses this way, and its result or error is
// final.
type door func(r *http.Request) (who auth.Principal, ok bool, err error)

// doors returns all ways in order: same process, token, user of the socket, certificate, browser's
// session. A token comes before the socket, as it may allow less.
func (k *controller) doors(file string) []door {
	return []door{byInside, k.byToken(file), k.bySocket, k.byCertificate, k.bySession(file)}
}

// authenticate returns the caller of a request. file is the token of the token file, or "".
func (k *controller) authenticate(file string) func(*http.Request) (auth.Principal, error) {
	doors := k.doors(file)
	return func(r *http.Request) (auth.Principal, error) {
		for _, open := range doors {
			if who, ok, err := open(r); ok || err != nil {
				return who, err
			}
		}
		return auth.Principal{}, unknown(
			"nobody whom this controller knows", "present a token: Authorization: Bearer TOKEN; or hostler login",
		)
	}
}

// bySocket identifies users of this machine.
func (k *controller) bySocket(r *http.Request) (auth.Principal, bool, error) {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		return auth.Principal{}, false, nil
	}
	return k.local(p.uid), true, nil
}

// byCertificate identifies callers by a certificate of [auth] client-ca.
func (k *controller) byCertificate(r *http.Request) (auth.Principal, bool, error) {
	if k.files == nil {
		return auth.Principal{}, false, nil
	}
	c, ok, err := k.files.Client(r.TLS)
	if !ok || err != nil {
		return auth.Principal{}, ok, err
	}
	if reserved(c.Name) {
		return auth.Principal{}, true, unknown(
			"the name "+c.Name+" is not to be had by a certificate",
			"ask who signs the certificates for one with another name",
		)
	}
	p := auth.Principal{Name: c.Name, Via: "certificate " + c.Serial, From: auth.RemoteHost(r)}
	p.Everywhere, p.Roles = k.members(c.Name, nil)
	return p, true, nil
}

// byToken identifies the caller that presents a token.
func (k *controller) byToken(file string) door {
	return func(r *http.Request) (auth.Principal, bool, error) {
		given, ok := auth.Bearer(r)
		if !ok {
			return auth.Principal{}, false, nil
		}
		who, err := k.holder(r, given, file)
		return who, true, err
	}
}

// bySession identifies a browser by the token in its cookie.
func (k *controller) bySession(file string) door {
	return func(r *http.Request) (auth.Principal, bool, error) {
		given, err := login.SessionOf(r)
		if given == "" || err != nil {
			return auth.Principal{}, err != nil, err
		}
		who, err := k.holder(r, given, file)
		return who, true, err
	}
}

// holder returns the owner of a token. The token file's is the controller's own user.
func (k *controller) holder(r *http.Request, given, file string) (auth.Principal, error) {
	if file != "" && sameToken(given, file) {
		return auth.Principal{
			Name: UserName(os.Geteuid()), Own: true, Via: "token file", From: auth.RemoteHost(r), Everywhere: auth.Administrator,
		}, nil
	}
	return k.tokens.Who(r.Context(), given, auth.RemoteHost(r))
}

// reserved reports whether a name is root, the controller's own user or a Kubernetes namespace.
// Nobody gets such a name remotely.
func reserved(name string) bool {
	return strings.HasPrefix(strings.ToLower(name), resource.Owner("")) ||
		slices.ContainsFunc(reservedNames(), func(r string) bool { return strings.EqualFold(r, name) })
}

func reservedNames() []string { return []string{"root", UserName(0), UserName(os.Geteuid())} }

// spent is the owner under which the proofs of sign-ins are stored as answers. No user has this
// name.
const spent = " signed in"

// spend notes that a proof was presented. A second time fails, on any controller of the store.
func (k *controller) spend(ctx context.Context, proof string) error {
	return k.Host.Store().Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Answer(spent, proof); err == nil {
			return &compute.Error{
				Kind: compute.ErrDenied, Err: errors.New("this sign-in was shown before, and is good once"),
				Hint: "sign in again: hostler login URL",
			}
		} else if !errors.Is(err, compute.ErrNotFound) {
			return err
		}
		return tx.SaveAnswer(&store.Answer{Owner: spent, Key: proof, Time: time.Now(), Body: []byte{}})
	})
}
