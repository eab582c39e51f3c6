package fetch

import "context"

// Requester is the caller for whom something is fetched. The zero Requester is nobody.
type Requester struct {
	Name, Via, From, Project string
	Operator                 bool // may have this controller fetch from anywhere
}

type askerKey struct{}

// WithRequester returns a context in which things are fetched for who.
func WithRequester(ctx context.Context, who Requester) context.Context {
	return context.WithValue(ctx, askerKey{}, who)
}

// RequesterOf returns the caller of a context, if it is known.
func RequesterOf(ctx context.Context) (Requester, bool) {
	who, ok := ctx.Value(askerKey{}).(Requester)
	return who, ok
}
