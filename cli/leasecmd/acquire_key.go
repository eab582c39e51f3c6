package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
)

// keyed returns the function that takes leases with a key. It asks the controller, or a server in
// this process, so that both work in the same way.
func keyed(a *cli.App, engine cli.Engine, key string) func(context.Context, compute.Request) ([]compute.Lease, error) {
	return func(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
		c, done, err := a.Remote, func() {}, error(nil)
		if c == nil {
			if c, done, err = a.Within(engine); err != nil {
				return nil, err
			}
		}
		leases, err := c.AcquireOnce(ctx, key, req)
		done() // waits until answers are on disk and unused leases are released
		if err != nil {
			return nil, keyTaken(key, err)
		}
		return leases, stillLive(ctx, engine, key, leases)
	}
}

// keyTaken rewrites a server's error: it names the option instead of the header.
func keyTaken(key string, err error) error {
	e, ok := errors.AsType[*compute.Error](err)
	if !ok || !errors.Is(err, compute.ErrConflict) || e.Err == nil || !strings.Contains(e.Err.Error(), api.KeyHeader) {
		return err
	}
	return &compute.Error{
		Kind: compute.ErrConflict, Err: fmt.Errorf("--key %s: another request has or had this key", term.Line(key)),
		Hint: "the same options again are the same request; another one takes another key",
	}
}

// stillLive is an error if leases of an earlier request with this key have ended.
func stillLive(ctx context.Context, engine cli.Engine, key string, leases []compute.Lease) error {
	for _, l := range leases {
		all, err := engine.Leases(ctx, inventory.LeaseQuery{Instance: l.Instance})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(now compute.Lease) bool { return now.ID == l.ID }) {
			return &compute.Error{
				ID: l.Instance, Kind: compute.ErrConflict,
				Err:  fmt.Errorf("--key %s: the lease that was given to this request has ended", term.Line(key)),
				Hint: "another key takes another one",
			}
		}
	}
	return nil
}

// maxKey is the longest key in bytes, as in the API.
const maxKey = 255

// CheckKey refuses an invalid key.
func CheckKey(key string) error {
	switch {
	case len(key) > maxKey:
		return fault.Invalid("", "--key: %d bytes, and at most %d are allowed", len(key), maxKey)
	case strings.TrimSpace(key) != key || strings.ContainsFunc(key, unicode.IsControl):
		return fault.Invalid(
			"", "--key %s: a blank at its beginning or end, or a character that controls terminals, cannot be in it",
			term.Line(key),
		)
	}
	return nil
}
