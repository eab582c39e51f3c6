// Package caching keeps images cached on bare-metal nodes: it looks (metal.Scout), decides
// (metal.Strategy; package strategy has ours), and has it done (metal.Commander), again and again.
package caching
