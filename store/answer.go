package store

import (
	"time"
)

// Answer is the stored answer to a request with an idempotency key that its caller chose. The same
// request gets the same answer again.
type Answer struct {
	Owner, Key string // keys are unique for each owner
	Digest     string // of the request
	Time       time.Time
	Status     int    // of HTTP
	Type       string // of the body
	Body       []byte
}

// AnswerTx keeps answers.
type AnswerTx interface {
	// Answer returns the answer to a key, or ErrNotFound.
	Answer(owner, key string) (*Answer, error)
	// SaveAnswer stores an answer and replaces an older one with its key.
	SaveAnswer(a *Answer) error
	// DropAnswers removes answers older than a time.
	DropAnswers(before time.Time) error
}
