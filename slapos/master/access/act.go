package access

import (
	"context"
	"slices"
	"strings"
)

// An Act is the outcome of a request, for a caller that keeps a record of requests.
type Act struct {
	Who   Who
	Thing string // the subject: a title, a place, a release
	// something changed by it, here or at another master; a status report is no change
	Changed bool
}

type actKey struct{}

// WithAct has what becomes of a request that is made with the context noted in a.
func WithAct(ctx context.Context, a *Act) context.Context { return context.WithValue(ctx, actKey{}, a) }

// NoteWho notes the caller of a request.
func NoteWho(ctx context.Context, who Who) {
	if a, ok := ctx.Value(actKey{}).(*Act); ok {
		a.Who = who
	}
}

// NoteChange notes that a request has changed something.
func NoteChange(ctx context.Context) {
	if a, ok := ctx.Value(actKey{}).(*Act); ok {
		a.Changed = true
	}
}

// NoteAbout notes what a request is about: a title, a place, a release.
func NoteAbout(ctx context.Context, words ...string) {
	if a, ok := ctx.Value(actKey{}).(*Act); ok {
		a.Thing = Words(words...)
	}
}

// Words is words in a row, without those that are "".
func Words(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}
