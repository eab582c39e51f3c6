package trace

// What the tests outside of the package see of it.
var (
	Note = setAttrs
)
