package master

// What the tests outside of the package see of it.

var (
	WithBase         = withBase
	DefaultFrontends = defaultFrontends
)
