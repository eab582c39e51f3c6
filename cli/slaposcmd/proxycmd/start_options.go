package proxycmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/slapproxy"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/sqlite"
)

// startOptions is what a master of one's own is started with.
type startOptions struct {
	database, port, host string
	public               string // directory of files for all clients; "": none
	root                 string // below which releases are that are files; "": as before
	names                slapos.Names
	depot                cache.ServeOptions
	tls                  tlsSettings
	allow, deny          fetch.Rules // where the page leads to
}

// read completes what was not given from the file.
func (o *startOptions) read(f *cfg.File) error {
	for key, to := range map[string]*string{
		"database_uri": &o.database, "port": &o.port, "host": &o.host, "local_software_release_root": &o.root,
	} {
		if *to != "" {
			continue
		}
		text, err := f.First(key, "slapproxy", "slapos")
		if err != nil {
			return err
		}
		*to = text
	}
	o.port, o.host = cmp.Or(o.port, "5000"), cmp.Or(o.host, "127.0.0.1")
	var err error
	if _, bad := strconv.ParseUint(o.port, 10, 16); bad != nil {
		const reason = "is no port: a number up to 65535"
		for _, section := range []string{"slapproxy", "slapos"} {
			if text, _ := f.Text(section, "port"); text == o.port && f.Has(section, "port") {
				return f.Fail(section, "port", reason)
			}
		}
		return fmt.Errorf("--port %s: it %s", o.port, reason)
	}
	if o.tls, err = readTLS(f, o.host); err != nil {
		return err
	}
	if o.names, err = slapos.ReadNames(f, o.host); err != nil {
		return err
	}
	if o.depot, err = slapos.ReadBinaryCache(f); err != nil {
		return err
	}
	if o.public, err = publicDirectory(f); err != nil {
		return err
	}
	if err := o.readFetch(f); err != nil {
		return err
	}
	if o.database == "" {
		if o.database, err = defaultStore(); err != nil {
			return err
		}
	}
	return nil
}

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
