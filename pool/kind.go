package pool

import (
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/provider"
)

// Kind is a source that takes its instances from others.
var Kind = &provider.Kind{
	Name: allocate.PoolType, Traits: provider.Traits{Pool: true, Grows: true}, TopKeys: []string{"sources"}, Remote: []string{},
	Tree: append([]provider.Rule{
		{
			Key: "sources", Free: true, Values: "sources of the same tree that need no approval",
			Why: "is but another name for them",
		},
		{Key: "image", Why: "gives its sources another image"},
	}, provider.FewReady()...),
}
