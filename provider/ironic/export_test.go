package ironic

// What the tests outside of the package see of it.
const (
	FactCached = factCached
)
