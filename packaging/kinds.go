// Package packaging has the files by which hostler is installed, and of them those that the program
// itself gives away.
package packaging

import "embed"

// Kinds are the CustomResourceDefinitions of the objects that the package resource reads:
// helm/hostler/crds/*.yaml.
//
//go:embed helm/hostler/crds/*.yaml
var Kinds embed.FS
