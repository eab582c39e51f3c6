// Package packaging has the files that install hostler, and embeds those that the program itself
// hands out.
package packaging

import "embed"

// Kinds are the CustomResourceDefinitions of the objects that the package resource reads:
// helm/hostler/crds/*.yaml.
//
//go:embed helm/hostler/crds/*.yaml
var Kinds embed.FS
