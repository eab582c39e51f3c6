package slapproxy

// What the tests outside of the package see of it.

const (
	Oldest = oldest
	Newest = newest
)
