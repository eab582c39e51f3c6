package applied

// What the tests outside of the package see of it.

var (
	Plan  = plan
	Data  = fileData
	After = after
)

const MaxThing = maxObject
