package store

import "time"

// TokenHash is the SHA-256 of a token's text.
type TokenHash [32]byte

// Token is a stored token of the API: what it is found by, its last use, and the rest as its owner,
// package auth, writes it.
type Token struct {
	ID   string
	Hash TokenHash
	Used time.Time // last use; zero: not used yet
	From string    // the address of the last use
	Data []byte    // a JSON document
}

// TokenTx keeps tokens. A missing token is compute.ErrNotFound.
type TokenTx interface {
	// Token returns the token of a hash.
	Token(hash TokenHash) (*Token, error)
	// Tokens returns all tokens, by ID.
	Tokens() ([]*Token, error)
	// SaveToken adds a token, or replaces the token of its ID.
	SaveToken(t *Token) error
	// DropToken deletes the token of an ID.
	DropToken(id string) error
}

// AuditPage holds the entries of the audit log that were written together.
type AuditPage struct {
	Number int64
	Time   time.Time
	Data   []byte // one JSON document per line
}

// AuditTx keeps an audit log. Entries written together form a page.
type AuditTx interface {
	// SaveAudit adds a page and returns its number; numbers grow.
	SaveAudit(at time.Time, data []byte) (int64, error)
	// Audit returns up to limit pages, the newest first. Their numbers are below before, unless it
	// is 0, and their times are after since.
	Audit(before int64, since time.Time, limit int) ([]AuditPage, error)
	// DropAudit deletes the pages older than a time.
	DropAudit(before time.Time) error
}
