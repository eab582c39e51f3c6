package auth

import (
	"time"
)

// TokenTx is a store.Tx that also keeps tokens. A missing token is compute.ErrNotFound.
type TokenTx interface {
	// Token returns the token of a hash.
	Token(hash Hash) (*Token, error)
	// Tokens returns all tokens, the oldest first.
	Tokens() ([]*Token, error)
	// SaveToken adds a token, or replaces the token of its ID.
	SaveToken(t *Token) error
	// DropToken deletes the token of an ID.
	DropToken(id string) error
}

// AuditTx is a store.Tx that also keeps an audit log. Entries written together form a page.
type AuditTx interface {
	// SaveAudit adds a page and returns its number; numbers grow.
	SaveAudit(at time.Time, some []byte) (int64, error)
	// Audit returns up to limit pages, the newest first. Their numbers are below before, unless it
	// is 0, and their times are after since.
	Audit(before int64, since time.Time, limit int) ([]AuditPage, error)
	// DropAudit deletes the pages older than a time.
	DropAudit(before time.Time) error
}

// AuditPage holds the entries of the audit log that were written together.
type AuditPage struct {
	Number int64
	Time   time.Time
	// one JSON document per line
	Some []byte
}
