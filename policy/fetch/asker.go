package fetch

import "context"

// Asker is the caller for whom something is fetched. The zero Asker is nobody.
type Asker struct {
	Name, Via, From, Project string
	Operator                 bool // may have this controller fetch from anywhere
}

type askerKey struct{}

// For returns a context in which things are fetched for who.
func For(ctx context.Context, who Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, who)
}

// By returns the caller of a context, if it is known.
func By(ctx context.Context) (Asker, bool) {
	who, ok := ctx.Value(askerKey{}).(Asker)
	return who, ok
}
