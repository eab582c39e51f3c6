package process

// What the tests outside of the package see of it.
var (
	LoginShell = loginShell
)
