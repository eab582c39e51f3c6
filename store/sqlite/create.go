package sqlite

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// tables makes what the steps of package migration make. A test there writes it.
//
//go:embed tables.sql
var tables string

// inspect reads the header of a state file, without SQLite, which at the least would work the log
// in that lies beside it. It returns the format that the file has, 0 for one that is empty.
func inspect(path string) (version int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var h [100]byte
	n, err := io.ReadFull(f, h[:])
	switch magic := []byte("SQLite format 3\x00"); {
	case errors.Is(err, io.EOF):
		return 0, nil
	case errors.Is(err, io.ErrUnexpectedEOF) && bytes.HasPrefix(h[:n], magic):
		return 0, errDamaged
	case errors.Is(err, io.ErrUnexpectedEOF), err == nil && !bytes.HasPrefix(h[:], magic):
		return 0, errForeign
	case err != nil:
		return 0, err
	}
	// The offsets are those of SQLite's file format.
	version = int(int32(binary.BigEndian.Uint32(h[60:])))
	if app := binary.BigEndian.Uint32(h[68:]); app != application || version < 1 {
		return 0, errForeign
	}
	if version > schema {
		return version, newer(version)
	}
	return version, nil
}

// create makes the file under another name, and moves it when it is complete. So a file of our name
// is always ours and whole.
func (s *Store) create(ctx context.Context) error {
	gate, err := lockFile(ctx, s.path+"-workers")
	if err != nil {
		return err
	}
	defer gate()
	if version, err := inspect(s.path); err != nil || version > 0 {
		return err // another process was first
	}
	// Logs without their file are of no use, and would do harm beside the new one.
	for _, name := range []string{".new", ".new-wal", ".new-shm", ".new-journal", "-wal", "-shm", "-journal"} {
		if err := os.Remove(s.path + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := touch(s.path + ".new"); err != nil {
		return err
	}
	w, err := openSession(s.opt.dsn(s.path + ".new"))
	if err != nil {
		return err
	}
	err = errors.Join(fill(w), w.close())
	if err != nil {
		return err
	}
	// kept by the session; all that they had is in the file
	for _, name := range []string{"-wal", "-shm"} {
		if err := os.Remove(s.path + ".new" + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(s.path+".new", s.path); err != nil || s.opt.Unsafe {
		return err
	}
	d, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fill makes the tables of a new file.
func fill(w *session) error {
	var mode string
	if err := w.row("PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the file system cannot keep a write-ahead log (journal mode %q)", mode)
	}
	return mark(w, tables)
}

// migrate brings an older file to this program's format, and returns the one that it has then. Two
// processes may try at once; the first does it.
func (s *Store) migrate(ctx context.Context) (version int, err error) {
	gate, err := lockFile(ctx, s.path+"-workers")
	if err != nil {
		return 0, err
	}
	defer gate()
	if err := s.write.row("PRAGMA user_version").Scan(&version); err != nil || version >= schema {
		return version, err
	}
	if s.opt.Migrate == nil {
		return 0, fmt.Errorf("%w: it has format %d, this one needs %d", errOlder, version, schema)
	}
	if err := s.opt.Migrate(ctx, s.path); err != nil {
		return 0, err
	}
	return schema, mark(s.write, "")
}

// mark makes tables by their statements, marks the file with its format, and works the log in. Then
// the header is right for a process that reads it before it opens the file.
func mark(w *session, tables string) error {
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := w.script(tables)
	if err == nil {
		err = errors.Join(
			w.exec("INSERT INTO meta (name, value) VALUES ('installation', ?) ON CONFLICT DO NOTHING", uuid.NewString()),
			w.exec(fmt.Sprintf("PRAGMA application_id = %d", application)),
			w.exec(fmt.Sprintf("PRAGMA user_version = %d", schema)))
	}
	if err != nil {
		return errors.Join(err, w.exec("ROLLBACK"))
	}
	if err := w.exec("COMMIT"); err != nil {
		return err
	}
	var busy, frames, done int
	return w.row("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &done)
}
