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
	"github.com/hostler-project/hostler/controller/server"
)

// door is a way in which a request may say whose it is. ok: it comes by this way; then that alone
// decides, also that it is nobody's.
type door func(r *http.Request) (who auth.Principal, ok bool, err error)

// doors are all ways, in the order in which they are looked at: what a program presents, which may
// say less than what it is; what the kernel says; what TLS says; what a browser keeps.
func (k *Controller) doors(file string) []door {
	return []door{byInside, k.byToken(file), k.bySocket, k.byCertificate, k.bySession(file)}
}

// authenticate says who makes a request. file is the token of the token file, or "".
func (k *Controller) authenticate(file string) func(*http.Request) (auth.Principal, error) {
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

// bySocket knows the users of this machine, who are themselves.
func (k *Controller) bySocket(r *http.Request) (auth.Principal, bool, error) {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		return auth.Principal{}, false, nil
	}
	return k.local(p.uid), true, nil
}

// byCertificate knows whom an authority of [auth] client-ca has named.
func (k *Controller) byCertificate(r *http.Request) (auth.Principal, bool, error) {
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

// byToken knows who presents a token.
func (k *Controller) byToken(file string) door {
	return func(r *http.Request) (auth.Principal, bool, error) {
		given, ok := bearer(r)
		if !ok {
			return auth.Principal{}, false, nil
		}
		who, err := k.holder(r, given, file)
		return who, true, err
	}
}

// bySession knows whose browser keeps a token in its cookie.
func (k *Controller) bySession(file string) door {
	return func(r *http.Request) (auth.Principal, bool, error) {
		given, err := server.SessionOf(r)
		if given == "" || err != nil {
			return auth.Principal{}, err != nil, err
		}
		who, err := k.holder(r, given, file)
		return who, true, err
	}
}

// holder is who has a token: that of the token file is the controller's own user's.
func (k *Controller) holder(r *http.Request, given, file string) (auth.Principal, error) {
	if file != "" && sameToken(given, file) {
		return auth.Principal{
			Name: UserName(os.Geteuid()), Own: true, Via: "token file", From: auth.RemoteHost(r), Everywhere: auth.Administrator,
		}, nil
	}
	return k.tokens.Who(r.Context(), given, auth.RemoteHost(r))
}

// reserved reports whether a name is one of those who are somebody by being this machine's, or a
// namespace: nobody from elsewhere becomes them.
func reserved(name string) bool {
	return strings.HasPrefix(strings.ToLower(name), resource.Owner("")) ||
		slices.ContainsFunc(reservedNames(), func(r string) bool { return strings.EqualFold(r, name) })
}

func reservedNames() []string { return []string{"root", UserName(0), UserName(os.Geteuid())} }

// spent is whose the proofs of sign-ins are among the answers that the store keeps for a day. It is
// nobody's name.
const spent = " signed in"

// spend notes that a proof was shown: once, whichever controller it was shown to.
func (k *Controller) spend(ctx context.Context, proof string) error {
	return k.Host.Store().Update(ctx, func(tx compute.Tx) error {
		at, ok := tx.(compute.AnswerTx)
		if !ok {
			return &compute.Error{
				Kind: compute.ErrUnavailable,
				Err:  errors.New("this store does not remember who has signed in, so nobody can"),
			}
		}
		if _, err := at.Answer(spent, proof); err == nil {
			return &compute.Error{
				Kind: compute.ErrDenied, Err: errors.New("this sign-in was shown before, and is good once"),
				Hint: "sign in again: hostler login URL",
			}
		} else if !errors.Is(err, compute.ErrNotFound) {
			return err
		}
		return at.SaveAnswer(&compute.Answer{Owner: spent, Key: proof, Time: time.Now(), Body: []byte{}})
	})
}
