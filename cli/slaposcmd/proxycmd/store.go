package proxycmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/slapproxy"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/sqlite"
)

// defaultStore returns where a master keeps its data by default.
func defaultStore() (string, error) {
	dir, err := host.StateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "slapos.db"), nil
}

// storeAddress is where a master keeps what it knows: where it was said, else where its file says,
// else defaultStore.
func storeAddress(f *cfg.File, said string) (string, error) {
	if said != "" {
		return said, nil
	}
	named, err := f.First("database_uri", "slapproxy", "slapos")
	if err != nil {
		return "", fault.Invalid("", "%w", err)
	}
	if named != "" {
		return named, nil
	}
	return defaultStore()
}

// inFile says whether an address is the name of a file.
func inFile(address string) bool {
	return !config.IsReference(address) && !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://")
}

// shownStore returns an address without its secrets, to show to the user.
func shownStore(address string) string {
	if inFile(address) {
		return address
	}
	return host.ShownAddress(address)
}

// openStore opens what keeps the state.
func openStore(ctx context.Context, s *session.Session, address string) (ledger.Store, func(), error) {
	if inFile(address) {
		store, err := sqlite.Open(ctx, address, sqlite.Options{})
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

// isFile reports whether a file is the store of an address.
func isFile(path, address string) bool {
	if !inFile(address) {
		return false
	}
	one, err := os.Stat(path)
	if err != nil {
		return false
	}
	other, err := os.Stat(address)
	return err == nil && os.SameFile(one, other)
}
