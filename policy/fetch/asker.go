package fetch

import "context"

// Asker is somebody for whom something is fetched.
type Asker struct {
	Name, Via, From, Project string
	Operator                 bool // runs this controller: may have it fetch from anywhere
}

type askerKey struct{}

// For says for whom what follows is done.
func For(ctx context.Context, who Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, who)
}

// By is for whom something is done, as far as that is known.
func By(ctx context.Context) (Asker, bool) {
	who, ok := ctx.Value(askerKey{}).(Asker)
	return who, ok
}
