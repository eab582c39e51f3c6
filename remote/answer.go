package remote

import (
	"errors"
	"strings"
)

// mostAnswer bounds what is kept of the answer to a question: paths, numbers. A computer that goes on must not fill our memory.
const mostAnswer = 64 << 10

var errLongAnswer = errors.New("the computer's answer has no end")

// answer keeps what a computer says to a question of ours, and takes no more than mostAnswer.
type answer struct {
	b   strings.Builder
	err error // why nothing more is taken; the answer is not to be used then
}

func (a *answer) Write(b []byte) (int, error) {
	if a.err == nil && a.b.Len()+len(b) > mostAnswer {
		a.err = errLongAnswer
	}
	if a.err != nil {
		return 0, a.err
	}
	return a.b.Write(b)
}

func (a *answer) String() string { return a.b.String() }
