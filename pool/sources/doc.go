// Package sources opens the providers of the lease engine's sources and knows what may change of
// them: whether their places answer, what their instances are made of, which images were
// promoted. It runs hooks.
package sources
