package callers

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/auth"
	certs "github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/resource"
	"github.com/hostler-project/hostler/controller/server/login"
	"github.com/hostler-project/hostler/store"
)

// Options say by what an Authenticator knows callers.
type Options struct {
	Tokens *auth.TokenRegistry
	// AdministratorToken is the token of the controller's own user; "": none
	AdministratorToken string
	Certificates       *certs.Files // nil: the controller does not listen with TLS
	Members            auth.Members // the current roles of users
}

// Authenticator identifies the callers of a controller. All methods may be called concurrently.
type Authenticator struct{ opt Options }

// New returns an Authenticator.
func New(opt Options) *Authenticator { return &Authenticator{opt} }

// method is one way to authenticate. If ok, the request uses this way, and its result or error is
// final.
type method func(r *http.Request) (who auth.Principal, ok bool, err error)

// methods returns all ways in order: same process, token, user of the socket, certificate,
// browser's session. A token comes before the socket, as it may allow less.
func (a *Authenticator) methods() []method {
	return []method{byProcess, a.byToken, a.bySocket, a.byCertificate, a.bySession}
}

// Caller returns the caller of a request. compute.ErrDenied: the caller is not known.
func (a *Authenticator) Caller(r *http.Request) (auth.Principal, error) {
	for _, by := range a.methods() {
		if who, ok, err := by(r); ok || err != nil {
			return who, err
		}
	}
	return auth.Principal{}, unknown(
		"nobody whom this controller knows", "present a token: Authorization: Bearer TOKEN; or hostler login",
	)
}

// bySocket identifies users of this machine.
func (a *Authenticator) bySocket(r *http.Request) (auth.Principal, bool, error) {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		return auth.Principal{}, false, nil
	}
	out := auth.Principal{Name: UserName(p.uid), Here: true, Own: p.uid == os.Geteuid(), Via: "socket"}
	out.Everywhere, out.Roles = a.opt.Members(out.Name, nil)
	if out.Own || p.uid == 0 {
		out.Everywhere = auth.Administrator
	}
	return out, true, nil
}

// byCertificate identifies callers by a certificate of [auth] client-ca.
func (a *Authenticator) byCertificate(r *http.Request) (auth.Principal, bool, error) {
	if a.opt.Certificates == nil {
		return auth.Principal{}, false, nil
	}
	c, ok, err := a.opt.Certificates.Client(r.TLS)
	if !ok || err != nil {
		return auth.Principal{}, ok, err
	}
	if Reserved(c.Name) {
		return auth.Principal{}, true, unknown(
			"the name "+c.Name+" is not to be had by a certificate",
			"ask who signs the certificates for one with another name",
		)
	}
	p := auth.Principal{Name: c.Name, Via: "certificate " + c.Serial, From: auth.RemoteHost(r)}
	p.Everywhere, p.Roles = a.opt.Members(c.Name, nil)
	return p, true, nil
}

// byToken identifies the caller that presents a token.
func (a *Authenticator) byToken(r *http.Request) (auth.Principal, bool, error) {
	given, ok := auth.Bearer(r)
	if !ok {
		return auth.Principal{}, false, nil
	}
	who, err := a.Holder(r, given)
	return who, true, err
}

// bySession identifies a browser by the token in its cookie.
func (a *Authenticator) bySession(r *http.Request) (auth.Principal, bool, error) {
	given, err := login.SessionOf(r)
	if given == "" || err != nil {
		return auth.Principal{}, err != nil, err
	}
	who, err := a.Holder(r, given)
	return who, true, err
}

// Holder returns the owner of a token that a request presents.
func (a *Authenticator) Holder(r *http.Request, token string) (auth.Principal, error) {
	if own := a.opt.AdministratorToken; own != "" && sameToken(token, own) {
		return auth.Principal{
			Name: UserName(os.Geteuid()), Own: true, Via: "token file", From: auth.RemoteHost(r), Everywhere: auth.Administrator,
		}, nil
	}
	return a.opt.Tokens.Who(r.Context(), token, auth.RemoteHost(r))
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

// Reserved reports whether a name is root, the controller's own user or a Kubernetes namespace.
// Nobody gets such a name remotely.
func Reserved(name string) bool {
	return strings.HasPrefix(strings.ToLower(name), resource.Owner("")) ||
		slices.ContainsFunc(reservedNames(), func(r string) bool { return strings.EqualFold(r, name) })
}

func reservedNames() []string { return []string{"root", UserName(0), UserName(os.Geteuid())} }

// spent is the owner under which the proofs of sign-ins are stored as answers. No user has this
// name.
const spent = " signed in"

// Spend returns a function that notes that a proof of a sign-in was presented. A second time it
// fails, on any controller of the store.
func Spend(in store.Transactor) func(ctx context.Context, proof string) error {
	return func(ctx context.Context, proof string) error {
		return in.Update(ctx, func(tx store.Tx) error {
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
}
