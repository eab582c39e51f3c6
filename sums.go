package hostler

import _ "embed"

// Sums are those of the modules that this tree is built with, as its go.sum has them.
//
//go:embed go.sum
var Sums string
