package newfiles

// What the tests outside of the package see of it.
var (
	ErrTooLarge = errTooLarge
)
