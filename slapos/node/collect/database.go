package collect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	sqlitedriver "modernc.org/sqlite" // and its driver, sqlite
)

// openDatabase opens the collector's database, made where there is none. One that cannot be read as
// such is put aside, and moved is its new name.
func openDatabase(ctx context.Context, path string, now time.Time) (db *sql.DB, moved string, err error) {
	db, err = begin(ctx, path)
	var broken *sqlitedriver.Error
	// SQLITE_NOTADB, SQLITE_CORRUPT
	if !errors.As(err, &broken) || broken.Code()&0xff != 26 && broken.Code()&0xff != 11 {
		return db, "", err
	}
	moved = path + now.UTC().Format(".broken-20060102T150405")
	if err := os.Rename(path, moved); err != nil {
		return nil, "", err
	}
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Remove(path + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
	}
	db, err = begin(ctx, path)
	return db, moved, err
}

// begin opens the database of samples, with its tables and indexes. It makes those that are
// missing.
func begin(ctx context.Context, path string) (*sql.DB, error) {
	// A file of our own mode, and one connection: a command samples once.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	at := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(30000)&_pragma=synchronous(normal)&_txlock=immediate"}
	db, err := sql.Open("sqlite", at.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var statements []string
	for _, t := range schema {
		statements = append(statements, fmt.Sprintf(
			`CREATE TABLE IF NOT EXISTS "%s" (%s, date TEXT, time TEXT, reported INTEGER NULL DEFAULT 0)`, t.table,
			t.columns,
		),
			fmt.Sprintf(`CREATE INDEX IF NOT EXISTS "hostler_%s_date" ON "%s" (date, reported)`, t.table, t.table))
	}
	// SlapOS's, for queries of one partition
	statements = append(statements, `CREATE INDEX IF NOT EXISTS user_partition_date_time ON user (partition, date, time)`)
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// columns are the names of a table's columns, with those that all have.
func columns(of string) []string {
	var names []string
	for c := range strings.SplitSeq(of, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(c), " ")
		names = append(names, name)
	}
	return append(names, "date", "time", "reported")
}

// row adds one to a table, as of a moment.
func row(ctx context.Context, tx *sql.Tx, table string, at time.Time, values ...any) error {
	for _, t := range schema {
		if t.table != table {
			continue
		}
		values = append(values, at.Format(time.DateOnly), at.Format(time.TimeOnly), 0)
		marks := strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
		_, err := tx.ExecContext(
			ctx, fmt.Sprintf(`INSERT INTO "%s" (%s) VALUES (%s)`, table, strings.Join(columns(t.columns), ", "), marks),
			values...,
		)
		return err
	}
	return fmt.Errorf("there is no table %s", table)
}

// change does all in one transaction.
func change(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// days are those of which a table has rows, up to one that is left out; unreported: rows that were
// not reported.
func days(ctx context.Context, db *sql.DB, before string, unreported bool) (all []string, err error) {
	var parts []string
	for _, t := range schema {
		where := "date < ?1"
		if unreported {
			where += " AND reported = 0"
		}
		parts = append(parts, fmt.Sprintf(`SELECT DISTINCT date FROM "%s" WHERE %s`, t.table, where))
	}
	rows, err := db.QueryContext(ctx, strings.Join(parts, " UNION ")+" ORDER BY 1", before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var day string
		if err := rows.Scan(&day); err != nil {
			return nil, err
		}
		if _, err := time.Parse(time.DateOnly, day); err == nil { // it becomes a file's name
			all = append(all, day)
		}
	}
	return all, rows.Err()
}

// reported marks a day's rows, and forget removes those of days before that were.
func reported(ctx context.Context, db *sql.DB, day string) error {
	return change(ctx, db, func(tx *sql.Tx) error {
		for _, t := range schema {
			if _, err := tx.ExecContext(
				ctx, fmt.Sprintf(`UPDATE "%s" SET reported = 1 WHERE date = ? AND reported = 0`, t.table), day,
			); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget deletes the rows of days before the given one that have been reported.
func forget(ctx context.Context, db *sql.DB, before string) error {
	return change(ctx, db, func(tx *sql.Tx) error {
		for _, t := range schema {
			if _, err := tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM "%s" WHERE date < ? AND reported = 1`, t.table), before); err != nil {
				return err
			}
		}
		return nil
	})
}
