package store

import "context"

// growing is the context's key of Growing.
type growing struct{}

// Growing marks a context: what is done under it asks for more computers and leases, and returns
// none. A store whose disk is full refuses such writes, and keeps its reserved space for those that
// give something back.
func Growing(ctx context.Context) context.Context { return context.WithValue(ctx, growing{}, true) }

// IsGrowing reports whether a context is marked by Growing.
func IsGrowing(ctx context.Context) bool { is, _ := ctx.Value(growing{}).(bool); return is }
