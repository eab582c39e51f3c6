package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

var (
	errClosed  = &compute.Error{Op: "sqlite", Kind: compute.ErrUnavailable, Err: errors.New("the store is closed")}
	errForeign = errors.New("it is not a state file of hostler")
	errNewer   = errors.New("a newer hostler wrote it")
	errOlder   = errors.New("an older hostler wrote it")
	errDamaged = errors.New("its beginning is cut off")
)

func newer(version int) error {
	return fmt.Errorf("%w: it has format %d, this one knows up to %d", errNewer, version, schema)
}

const full = "the disk is full: free some space and try again; nothing was changed"

// damage is what to do about a file that is not whole.
const damage = "the state file is damaged: move it and its -wal file away and keep them; hostler then starts anew, " +
	"and `hostler doctor` lists what the old one has left on this machine"

// openError describes the fault of a state file, with a hint.
func openError(path string, err error) error {
	e := &compute.Error{Op: "state", ID: compute.ID(path), Kind: compute.ErrFailed, Err: plain(err)}
	var code interface{ Code() int }
	var known *compute.Error // of Options.Migrate
	switch {
	case errors.As(err, &known) && known.Hint != "":
		e.Kind, e.Hint = known.Kind, known.Hint
	case errors.Is(err, errNewer):
		e.Kind, e.Hint = compute.ErrConflict, "use the newer hostler, or another state directory by XDG_STATE_HOME; "+
			"the file was left as it is"
	case errors.Is(err, errOlder):
		e.Kind, e.Hint = compute.ErrConflict, "`hostler status` brings it to the new format; a Go program sets Migrate to migration.Up"
	case errors.Is(err, errMoved):
		e.Kind, e.Hint = compute.ErrConflict, "set [store] url in hostler.conf to the address of that database; or, "+
			"if a move was cut off, run `hostler store move` again"
	case errors.Is(err, errTaken):
		e.Kind = compute.ErrUnavailable
	case errors.Is(err, errForeign):
		e.Kind, e.Hint = compute.ErrConflict, "move it away, or use another state directory by XDG_STATE_HOME; the file was left as it is"
	case errors.Is(err, errDamaged):
		e.Hint = damage
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Hint = full
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Kind, e.Hint = compute.ErrDenied, "give yourself access to the directory, or use another one by XDG_STATE_HOME"
	case errors.Is(err, driver.ErrBadConn), errors.As(err, &code):
		e.Hint, e.Kind = advice(err)
	}
	return e
}

// advice maps SQLite's result codes to what the user may do, and to a kind.
func advice(err error) (hint string, kind error) {
	var code interface{ Code() int }
	if !errors.As(err, &code) {
		return "", compute.ErrFailed
	}
	// there was no room for what the processes share beside the log
	if code.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
		return full, compute.ErrFailed
	}
	switch code.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damage, compute.ErrFailed
	case sqlite3.SQLITE_FULL:
		return full, compute.ErrFailed
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another process holds the state for long; try again", compute.ErrUnavailable
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH:
		return "the state directory must be yours and writable; or use another one by XDG_STATE_HOME", compute.ErrDenied
	case sqlite3.SQLITE_IOERR:
		return "the disk gave an error, see the kernel's log; `hostler status` shows what is recorded", compute.ErrFailed
	}
	return "", compute.ErrFailed
}

// plain gives an error of a full disk, which SQLite tells in several ways, the system's words.
func plain(err error) error {
	var ours *lean
	if hint, _ := advice(err); (hint == full || errors.Is(err, syscall.ENOSPC)) && !errors.As(err, &ours) {
		return fault.Reworded(syscall.ENOSPC.Error(), err)
	}
	return err
}

// wrap gives errors of SQLite a kind; others pass as they are.
func wrap(err error) error {
	var code interface{ Code() int }
	if err == nil || !errors.As(err, &code) {
		return err
	}
	var known *compute.Error
	if errors.As(err, &known) {
		return err
	}
	hint, kind := advice(err)
	return &compute.Error{Op: "state", Kind: kind, Err: plain(err), Hint: hint}
}
