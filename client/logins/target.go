package logins

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
)

// Target is a controller that was named or signed in to, with our credentials for it.
type Target struct {
	Where  string // an address, or a unix socket's
	Login         // zero: there is none for it
	Signed bool   // found by hostler login alone, not named
	Known  bool   // there is a login for it
	Env    bool   // the token comes from the environment

	Project *string // the project of requests; nil: unspecified
	Reason  string  // why they are made; "": they do not say
	Slow    func(controller string)
}

// Ask asks a named controller who the user is. If the controller does not know the user, the error
// says what to do.
func (t *Target) Ask(ctx context.Context) (*client.Client, api.Self, error) {
	again := &compute.Error{Kind: compute.ErrDenied, Hint: "hostler login " + t.Where}
	if t.Signed {
		again.Hint += ", or hostler logout to ask it no more"
	}
	if t.Known && !t.Env && t.Expires != nil && time.Now().After(*t.Expires) {
		again.Err = errors.New("you signed in to " + t.Where + ", and that ended at " + t.Expires.Local().Format(time.DateTime))
		return nil, api.Self{}, again
	}
	c, err := t.Dial()
	if err != nil {
		return nil, api.Self{}, err
	}
	self, err := c.Self(ctx)
	if err == nil {
		return c, self, nil
	}
	_ = c.Close()
	if errors.Is(err, compute.ErrDenied) && strings.Contains(t.Where, "://") && !t.Env {
		again.Err = err
		if t.Known && t.Token != "" {
			again.Err = errors.New("your sign-in to " + t.Where + " is good no more: it has ended, or was revoked")
		}
		return nil, api.Self{}, again
	}
	return nil, api.Self{}, err
}

// Dial makes a client of the named controller.
func (t *Target) Dial() (*client.Client, error) {
	opt := client.Options{Token: t.Token, Project: t.Project, Reason: t.Reason, Slow: t.Slow}
	if socket, ok := strings.CutPrefix(t.Where, "unix:"); ok || filepath.IsAbs(t.Where) {
		opt.Socket = cmp.Or(socket, t.Where)
		return client.New(opt)
	}
	var err error
	if opt.TLS, err = TLS(t.CA, t.Cert, t.Key); err != nil {
		return nil, err
	}
	opt.URL = t.Where
	return client.New(opt)
}
