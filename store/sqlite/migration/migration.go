// Package migration brings state files of older formats to the newest one. Only programs that are
// to do so link it, and goose with it: hostlerd, and Go programs by sqlite.Options.Migrate.
package migration

import (
	"context"
	"database/sql"
	"embed"
	"net/url"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver
)

//go:embed *.sql
var steps embed.FS

// Up takes the steps that the tables of a file lack. It is a sqlite.Options.Migrate.
func Up(ctx context.Context, path string) error {
	q := url.Values{"_pragma": {"busy_timeout(30000)", "synchronous(FULL)"}}
	file := &url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, steps, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}
