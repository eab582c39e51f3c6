package proxycmd

import (
	"context"
	"errors"
	"io/fs"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/slapproxy"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/sqlite"
	"github.com/hostler-project/hostler/store/sqlite/migration"
)

// openStore opens what keeps the state.
func openStore(ctx context.Context, s *session.Session, address string) (store.Transactor, func(), error) {
	if inFile(address) {
		store, err := sqlite.Open(ctx, address, sqlite.Options{Migrate: migration.Up})
		if errors.Is(err, compute.ErrConflict) && slapproxy.Is(ctx, address) {
			return nil, nil, fault.Conflict(
				"hostler slapos proxy import "+address+" --database-uri FILE takes it over into another file",
				"%s is a database of slapproxy", address,
			)
		}
		// the hint of the state directory would lead astray
		if errors.Is(err, compute.ErrDenied) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil, nil, &compute.Error{
				ID: "database_uri", Kind: compute.ErrInvalid, Err: err,
				Hint: "it names the file in which the master keeps its state, which must be yours and writable; --database-uri FILE names another",
			}
		} else if err != nil {
			return nil, nil, err
		}
		return store, func() { _ = store.Close() }, nil
	}
	if config.IsReference(address) {
		secret, err := config.Secret(ctx, address)
		if err != nil {
			return nil, nil, fault.Invalid(host.AddressHint, "database_uri: %w", err)
		}
		address = secret
	} else if host.HasPassword(address) {
		return nil, nil, fault.Invalid(host.AddressHint, "database_uri: a password does not belong in this file")
	}
	store, err := postgres.Open(ctx, address, postgres.Options{Log: s.App.Log})
	if err != nil {
		return nil, nil, err
	}
	return store, func() { _ = store.Close() }, nil
}

// openMaster opens the master that keeps what it knows at an address.
func openMaster(ctx context.Context, s *session.Session, address string, opt master.Options) (*master.Master, func(), error) {
	store, end, err := openStore(ctx, s, address)
	if err != nil {
		return nil, nil, err
	}
	opt.Store = store
	m, err := master.New(ctx, opt)
	if err != nil {
		end()
		return nil, nil, err
	}
	return m, end, nil
}
