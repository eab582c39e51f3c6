package compute

import "context"

type growing struct{}

// Growing marks what is done under a context as wanting more: computers and leases, not their
// return. A store whose disk is full refuses to write that, and keeps what room it has set aside
// for what is given back.
func Growing(ctx context.Context) context.Context { return context.WithValue(ctx, growing{}, true) }

// IsGrowing reports whether Growing has marked a context.
func IsGrowing(ctx context.Context) bool { is, _ := ctx.Value(growing{}).(bool); return is }
