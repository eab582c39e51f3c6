package shell

import (
	"errors"
	"strings"
)

// mostAnswer bounds what is kept of the answer to a question: paths, numbers. A computer that goes
// on must not fill our memory.
const mostAnswer = 64 << 10

var errLongAnswer = errors.New("the computer's answer has no end")

// Answer keeps what a computer says to a question of ours, and takes no more than mostAnswer.
type Answer struct {
	b   strings.Builder
	Err error // why nothing more is taken; the answer is not to be used then
}

// Write keeps b until the answer is too long; from then on it returns the error.
func (a *Answer) Write(b []byte) (int, error) {
	if a.Err == nil && a.b.Len()+len(b) > mostAnswer {
		a.Err = errLongAnswer
	}
	if a.Err != nil {
		return 0, a.Err
	}
	return a.b.Write(b)
}

func (a *Answer) String() string { return a.b.String() }
