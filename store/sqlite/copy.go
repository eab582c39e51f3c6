package sqlite

import (
	"context"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
)

// Copy writes all that the state file has at one time into a new one, for its owner alone, which
// [Open] takes like the first. Others may write meanwhile. A file that is there already is
// ErrConflict.
func (s *Store) Copy(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// private from the first moment: SQLite takes an empty file
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return &compute.Error{
			Op: "state", ID: compute.ID(path), Kind: compute.ErrConflict, Err: err,
			Hint: "the copy goes where nothing is yet",
		}
	} else if err != nil {
		return openError(path, err)
	}
	err = s.copy(path)
	if err == nil {
		err = wrap(f.Sync())
	}
	if closed := f.Close(); err == nil {
		err = wrap(closed)
	}
	if err == nil {
		err = wrap(syncDirectory(filepath.Dir(path)))
	}
	if err != nil {
		_ = os.Remove(path) // half of it is worth nothing
	}
	return err
}

func (s *Store) copy(path string) error {
	reader, err := openSession(s.dsn)
	if err != nil {
		return wrap(err)
	}
	defer reader.close()
	return wrap(reader.exec("VACUUM INTO ?", path))
}

// syncDirectory makes a file's name last.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}
