package proxycmd

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/policy/fetch"
	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/cfg"
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
