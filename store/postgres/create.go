package postgres

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// gate is the advisory lock of migrations: "hstl", twice.
const gate int64 = 0x6873746c6873746c

// inspect reads the installation and the format that the database has, 0 for one that is empty.
func (s *Store) inspect(ctx context.Context, w *session) (version int, err error) {
	rows, err := w.conn.Query(ctx, "SELECT name, value FROM meta WHERE name IN ('installation', 'format')")
	if err != nil {
		return 0, missing(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return 0, err
		}
		if name == "installation" {
			s.installation = value
		} else if version, err = strconv.Atoi(value); err != nil {
			return 0, err
		}
	}
	if err := missing(rows.Err()); err != nil || version <= schema {
		return version, err
	}
	return version, newer(version)
}

// missing ignores the error of a missing table.
func missing(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P01" {
		return nil
	}
	return err
}

// create makes missing tables and the installation, and upgrades older ones. If several controllers
// begin at once, one does it.
func (s *Store) create(ctx context.Context, w *session) error {
	if version, err := s.inspect(ctx, w); err != nil || version == schema {
		return err
	}
	// The first may take its time; lock_timeout ends the wait.
	if _, err := w.conn.Exec(ctx, "SELECT pg_advisory_lock($1)", gate); err != nil {
		return s.hide(err)
	}
	err := s.migrate(ctx, w)
	_, err2 := w.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", gate)
	return errors.Join(err, err2)
}

// migrate brings the tables to the newest schema, and names the installation.
func (s *Store) migrate(ctx context.Context, w *session) error {
	if version, err := s.inspect(ctx, w); err != nil || version == schema {
		return err // another was first
	}
	may := false
	if err := w.conn.QueryRow(ctx, "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)").Scan(&may); err != nil {
		return err
	} else if !may { // goose would try for some seconds
		return errRights
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*s.config.Copy())
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return s.hide(err)
	}
	_, err = w.conn.Exec(ctx, "INSERT INTO meta (name, value) VALUES ('installation', $1) ON CONFLICT DO NOTHING", uuid.NewString())
	if err != nil {
		return err
	}
	_, err = w.conn.Exec(ctx, `INSERT INTO meta (name, value) VALUES ('format', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		strconv.Itoa(schema))
	if err != nil {
		return err
	}
	_, err = s.inspect(ctx, w)
	return err
}
