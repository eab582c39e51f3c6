package signin

// What the tests outside of the package see of it.
const (
	Fresh = fresh
)

var (
	Challenge = challenge
)
