package pool

import "github.com/hostler-project/hostler/provider"

// Kind is a source that takes its instances from others.
var Kind = &provider.Kind{Name: poolType, Traits: provider.Traits{Pool: true, Grows: true}}
