package slapproxy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	_ "modernc.org/sqlite" // the driver
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hostler-project/hostler/compute"
)

// The schema versions that are read.
const (
	oldest = 10
	newest = 17
)

// column is a column, and the schema version since which it is there.
type column struct {
	name  string
	since int
}

// columns are the columns to read of each table; the required tables are those of version 10.
var columns = map[string][]column{
	"software": {{"url", 10}, {"computer_reference", 11}, {"requested_state", 12}},
	"computer": {{"reference", 11}, {"address", 10}, {"netmask", 10}},
	"partition": {{"reference", 10}, {"computer_reference", 11}, {"slap_state", 10}, {"software_release", 10},
		{"xml", 10}, {"connection_xml", 10},
		{"slave_instance_list", 10}, {"software_type", 10}, {"partition_reference", 10}, {"requested_by", 10},
		{"requested_state", 10}, {"timestamp", 14}},
	"slave": {
		{"reference", 10}, {"computer_reference", 11}, {"connection_xml", 10}, {"hosted_by", 10}, {"asked_by", 10},
	},
	"partition_network": {
		{"partition_reference", 10}, {"computer_reference", 11}, {"reference", 10}, {"address", 10}, {"netmask", 10},
	},
	"forwarded_partition_request": {{"partition_reference", 11}, {"master_url", 11}},
	"local_software_release_root": {{"path", 15}},
	"config":                      {{"name", 17}, {"value", 17}},
}

// row is a row of a table; a missing column is nil.
type row map[string]any

// text is a value as a text; NULL is "".
func (r row) text(name string) string {
	switch v := r[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}

// database is the content of a file.
type database struct {
	version int
	rows    map[string][]row // by table, without the version
	notes   []string
}

func failed(path string, kind, err error, hint string) error {
	return &compute.Error{Op: "slapproxy", ID: compute.ID(path), Kind: kind, Err: err, Hint: hint}
}

// load reads a file.
func load(ctx context.Context, path string) (*database, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, failed(
			path, compute.ErrNotFound, errors.New("there is no such file"),
			"database_uri in [slapproxy] of the old slapos.cfg names it",
		)
	case err != nil:
		return nil, failed(path, compute.ErrFailed, err, "")
	case !info.Mode().IsRegular():
		return nil, failed(path, compute.ErrInvalid, errors.New("it is not a file"), "")
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	at := "file:" + (&url.URL{Path: whole}).EscapedPath() + "?mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)&_pragma=trusted_schema(0)"
	db, err := sql.Open("sqlite", at)
	if err != nil {
		return nil, failed(path, compute.ErrFailed, err, "")
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer func() { _ = tx.Rollback() }()
	d, err := read(ctx, tx)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return d, nil
}

// Is says whether a file is a database that Read reads.
func Is(ctx context.Context, path string) bool {
	_, err := load(ctx, path)
	return err == nil
}

// errForeign is what a file is that slapproxy has not written.
var errForeign = errors.New("it is not a database of slapproxy")

// unreadable is the error of an unreadable file, with a hint.
func unreadable(path string, err error) error {
	var code interface{ Code() int }
	switch {
	case errors.Is(err, errForeign):
		return failed(path, compute.ErrInvalid, err, "database_uri in [slapproxy] of the old slapos.cfg names the file")
	case !errors.As(err, &code):
		return failed(path, compute.ErrFailed, err, "")
	case code.Code() == sqlite3.SQLITE_NOTADB:
		return failed(path, compute.ErrInvalid, errForeign, "database_uri in [slapproxy] of the old slapos.cfg names the file")
	case code.Code()&0xff == sqlite3.SQLITE_READONLY, code.Code()&0xff == sqlite3.SQLITE_CANTOPEN:
		return failed(
			path, compute.ErrFailed, err,
			"it must be readable; if its slapproxy was killed in the midst of a change, start that once and end it, or import a copy",
		)
	case code.Code()&0xff == sqlite3.SQLITE_BUSY:
		return failed(path, compute.ErrUnavailable, err, "its slapproxy is at work: try again")
	}
	return failed(path, compute.ErrFailed, err, "is the file whole? PRAGMA integrity_check says")
}

// split takes the version off a table's name; 0: it has none, or the table is not one of
// slapproxy's.
func split(name string) (kind string, version int) {
	kind = strings.TrimRight(name, "0123456789")
	version, err := strconv.Atoi(name[len(kind):])
	if err != nil || columns[kind] == nil {
		return "", 0
	}
	return kind, version
}

// read reads the rows of all known tables. The schema version is the highest that a table's name
// has.
func read(ctx context.Context, tx *sql.Tx) (*database, error) {
	names, err := texts(
		ctx, tx,
		"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
	)
	if err != nil {
		return nil, err
	}
	d := &database{rows: map[string][]row{}}
	for _, name := range names {
		_, version := split(name)
		d.version = max(d.version, version)
	}
	switch {
	case d.version == 0:
		return nil, fmt.Errorf("%w: it has no tables such as partition%d", errForeign, newest)
	case d.version < oldest || d.version > newest:
		return nil, fmt.Errorf(
			"%w that can be read: its schema has version %d, and %d to %d are known", errForeign, d.version, oldest,
			newest,
		)
	}
	for _, name := range names {
		kind, version := split(name)
		switch version {
		case 0:
			d.note("table %s: what it is for is not known, and nothing of it is taken", name)
		case d.version:
			if d.rows[kind], err = d.table(ctx, tx, kind, name); err != nil {
				return nil, err
			}
		default:
			d.note("table %s is of an older version, and nothing of it is taken", name)
		}
	}
	for _, name := range []string{"software", "computer", "partition", "slave", "partition_network"} {
		if !slices.Contains(names, name+strconv.Itoa(d.version)) {
			return nil, fmt.Errorf("%w of version %d: it has no table %s%[2]d", errForeign, d.version, name)
		}
	}
	return d, nil
}

func (d *database) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// table reads all rows of a table, in the order in which they are stored.
func (d *database) table(ctx context.Context, tx *sql.Tx, kind, name string) ([]row, error) {
	there, err := texts(ctx, tx, "SELECT name FROM pragma_table_info(?) ORDER BY cid", name)
	if err != nil {
		return nil, err
	}
	var wanted []string
	for _, c := range columns[kind] {
		switch has := slices.Contains(there, c.name); {
		case has:
			wanted = append(wanted, c.name)
		case c.since <= d.version:
			return nil, fmt.Errorf("%w of version %d: table %s has no column %s", errForeign, d.version, name, c.name)
		}
	}
	for _, c := range there {
		if !slices.Contains(wanted, c) {
			d.note("table %s: what its column %s is for is not known, and nothing of it is taken", name, c)
		}
	}
	found, err := tx.QueryContext(ctx, `SELECT "`+strings.Join(wanted, `", "`)+`" FROM "`+name+`" ORDER BY _rowid_`)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []row
	for found.Next() {
		values, to := make([]any, len(wanted)), make([]any, len(wanted))
		for i := range values {
			to[i] = &values[i]
		}
		if err := found.Scan(to...); err != nil {
			return nil, err
		}
		r := row{}
		for i, c := range wanted {
			r[c] = values[i]
		}
		all = append(all, r)
	}
	return all, found.Err()
}

func texts(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	found, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []string
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, found.Err()
}
