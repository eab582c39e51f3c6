package auth

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Store is what keeps tokens and the audit log. The transactions that it gives are a TokenTx and an
// AuditTx too.
type Store interface {
	Update(ctx context.Context, fn func(compute.Tx) error) error
	View(ctx context.Context, fn func(compute.Tx) error) error
}

// TokenTx is a compute.Tx that keeps tokens too. What is not there is compute.ErrNotFound.
type TokenTx interface {
	// Token returns one by its hash.
	Token(hash Hash) (*Token, error)
	// Tokens returns all, the oldest first.
	Tokens() ([]*Token, error)
	// SaveToken adds one, or changes that of its ID.
	SaveToken(t *Token) error
	// DropToken forgets one, by its ID.
	DropToken(id string) error
}

// AuditTx is a compute.Tx that keeps an audit log too: entries that were written together lie
// together.
type AuditTx interface {
	// SaveAudit adds some, and returns their number, which grows.
	SaveAudit(at time.Time, some []byte) (int64, error)
	// Audit returns up to limit of those with a number below before, and from newer times than
	// since, the newest first.
	Audit(before int64, since time.Time, limit int) ([]AuditPage, error)
	// DropAudit forgets those older than a time.
	DropAudit(before time.Time) error
}

// AuditPage is what was written to the audit log together.
type AuditPage struct {
	Number int64
	Time   time.Time
	Some   []byte
}
