package compute

import "time"

// Answer is what was answered to a request that had a key of its asker's choice: the same request
// again is answered the same.
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

// RequestLabel is the label of leases that were given to a request with a key: the request's mark,
// which is its asker's and its key's, and behind a blank the digest of what it asked for, and
// behind another the key, escaped as in a URL's query.
const RequestLabel = "hostler.request"

// GivenTx is a Tx of a store on which several give leases to requests with keys: of those that
// live, no two are the same one (Lease.Nth) of one request. To insert such a one is ErrGiven.
type GivenTx interface {
	// Given returns the living leases that were given to the request of a mark, also those that
	// nobody was told of yet, and the worker that gave them.
	Given(mark string) (leases []*Lease, giver int64, err error)
}
