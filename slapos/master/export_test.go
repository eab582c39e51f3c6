package master

import (
	"maps"
	"slices"
)

// Endpoints are the names of the legacy endpoints and of the methods of the JSON API.
func Endpoints() []string {
	return slices.Concat(
		slices.Collect(maps.Keys(legacyReads)), slices.Collect(maps.Keys(legacyWrites)),
		slices.Collect(maps.Keys(rpcMethods)),
	)
}
