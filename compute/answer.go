package compute

import "time"

// Answer is what was answered to a request that had a key of its asker's choice: the same request again is answered the same.
type Answer struct {
	Owner, Key string // the key is the owner's
	Digest     string // of the request
	Time       time.Time
	Status     int    // of HTTP
	Type       string // of the body
	Body       []byte
}

// AnswerTx is a Tx that keeps answers too.
type AnswerTx interface {
	// Answer returns one; ErrNotFound: there is none.
	Answer(owner, key string) (*Answer, error)
	// SaveAnswer adds one, in place of an older one with its key.
	SaveAnswer(a *Answer) error
	// DropAnswers forgets those older than a time.
	DropAnswers(before time.Time) error
}
