package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

var (
	errClosed   = &compute.Error{Op: "postgres", Kind: compute.ErrUnavailable, Err: errors.New("the store is closed")}
	errNewer    = errors.New("a newer hostler wrote it")
	errPooler   = errors.New("a connection pooler stands before the server")
	errEncoding = errors.New("the database's encoding is")
	errStandby  = errors.New("the server is a standby, which cannot be written")
	errRights   = errors.New("its user may not make tables in it")
	errAddress  = errors.New("the address of the database cannot be read")
	errUnknown  = errors.New("the connection broke while the change was being committed, and it is not known whether it was")
)

func newer(version int) error {
	return fmt.Errorf("%w: it has format %d, this one knows up to %d", errNewer, version, schema)
}

const (
	hintDown   = "see that the PostgreSQL server runs and can be reached; hostler goes on by itself when it is back"
	hintFull   = "the database server has no room: free some space there and try again; nothing was changed"
	hintRights = "the database's user must own the tables, or be allowed to make them"
	hintBusy   = "another controller, or the server, held the database for long; try again"
)

// openError describes the fault of a database, with a hint.
func (s *Store) openError(err error) error {
	e := &compute.Error{Op: "postgres", ID: compute.ID(s.Name()), Kind: compute.ErrFailed, Err: err}
	switch {
	case errors.Is(err, errNewer):
		e.Kind, e.Hint = compute.ErrConflict, "use the newer hostler, or another database; it was left as it is"
	case errors.Is(err, errPooler):
		e.Kind, e.Hint = compute.ErrInvalid, "give the address of the server itself: sessions hold locks, which a pooler would mix up"
	case errors.Is(err, errEncoding):
		e.Kind, e.Hint = compute.ErrInvalid, "make the database with ENCODING 'UTF8' TEMPLATE template0"
	case errors.Is(err, errStandby):
		e.Kind, e.Hint = compute.ErrUnavailable, "name the primary, or several hosts and target_session_attrs=read-write"
	case errors.Is(err, errRights):
		e.Kind, e.Hint = compute.ErrDenied, hintRights
	case errors.Is(err, errAddress):
		e.Kind, e.Hint = compute.ErrInvalid, "it is like postgres://USER:PASSWORD@HOST/DATABASE, or host=HOST dbname=DATABASE user=USER"
	case errors.Is(err, context.Canceled):
		return err
	default:
		e.Hint, e.Kind = advice(err)
	}
	return e
}

// advice maps what PostgreSQL and the network say to a kind and to what the user may do.
func advice(err error) (hint string, kind error) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if broken(err) {
			return hintDown, compute.ErrUnavailable
		}
		return "", compute.ErrFailed
	}
	switch pg.Code {
	case "53100":
		return hintFull, compute.ErrUnavailable
	case "53300":
		return "the server has no connection left: raise its max_connections; a controller needs up to ten", compute.ErrUnavailable
	case "55P03", "57014", "40001", "40P01":
		return hintBusy, compute.ErrUnavailable
	case "25006":
		return "the server cannot be written: it is a standby, or set to read only", compute.ErrUnavailable
	case "3D000":
		return "make the database: createdb -E UTF8 NAME", compute.ErrInvalid
	case "42501":
		return hintRights, compute.ErrDenied
	case "54000":
		return "a name is too long", compute.ErrInvalid
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "57", "25":
		return hintDown, compute.ErrUnavailable
	case "53":
		return "the database server is short of " + pg.Message + "; try again", compute.ErrUnavailable
	case "58":
		return "the database server's disk gave an error, see its log", compute.ErrUnavailable
	case "28":
		return "see the user and the password that the setting's reference gives, and the server's pg_hba.conf", compute.ErrDenied
	case "XX":
		return "the database is damaged, see the server's log", compute.ErrFailed
	}
	return "", compute.ErrFailed
}

// broken recognizes errors of the connection, which may be gone the next time.
func broken(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		class := pg.Code[:min(2, len(pg.Code))]
		return fatal(err) && (class == "08" || class == "57" || class == "53")
	}
	var ne net.Error
	var ce *pgconn.ConnectError
	return errors.Is(err, errLost) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &ne) ||
		errors.As(err, &ce) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, context.DeadlineExceeded)
}

// wrap gives errors of PostgreSQL and of the connection a kind; others pass as they are.
func wrap(err error) error {
	var pg *pgconn.PgError
	var known *compute.Error
	if err == nil || errors.As(err, &known) || !errors.As(err, &pg) && !errors.Is(err, errLost) && !errors.Is(err, errUnknown) {
		return err
	}
	hint, kind := advice(err)
	if errors.Is(err, errUnknown) {
		kind, hint = compute.ErrUnavailable, "look with `hostler status` before you try again"
	}
	return &compute.Error{Op: "state", Kind: kind, Err: err, Hint: hint}
}

// hidden is an error whose text would show a password.
type hidden struct {
	error
	text string
}

func (h *hidden) Error() string { return h.text }
func (h *hidden) Unwrap() error { return h.error }

func (s *Store) hide(err error) error { return hide(err, s.config.Password) }

// hide takes a password out of an error's text, however it got there, and puts the driver's lines
// into one.
func hide(err error, password string) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(password) > 0 {
		for _, p := range []string{password, url.QueryEscape(password), url.PathEscape(password), fmt.Sprintf("%q", password)} {
			text = strings.ReplaceAll(text, p, "******")
		}
	}
	if text == err.Error() {
		return err
	}
	return &hidden{err, text}
}

// unique tells the constraint of a name taken twice from other failures.
func unique(err error) (constraint string, ok bool) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" {
		return pg.ConstraintName, true
	}
	return "", false
}

// conflict says what a constraint has refused.
func conflict(constraint string, err error) error {
	what := map[string]string{"leases_live": "it has a lease", "leases_name": "a lease of this name lives",
		"instances_id_key": "an instance of this name exists",
		"leases_mark":      "another controller is serving this request, or has served it"}[constraint]
	if what == "" {
		return err
	}
	if constraint == "leases_mark" {
		return &compute.Error{Kind: store.ErrGiven, Err: errors.Join(errors.New(what), err)}
	}
	return &compute.Error{Kind: compute.ErrConflict, Err: errors.Join(errors.New(what), err)}
}
