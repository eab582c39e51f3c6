package pool

import (
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is a source that takes its instances from others.
var Kind = &catalog.Kind{
	Name: allocate.PoolType, Traits: catalog.Traits{Pool: true, Grows: true}, TopKeys: []string{"sources"}, Remote: []string{},
	Tree: append([]catalog.Rule{
		{
			Key: "sources", Free: true, Values: "sources of the same tree that need no approval",
			Why: "is but another name for them",
		},
		{Key: "image", Why: "gives its sources another image"},
	}, catalog.FewReady()...),
}
