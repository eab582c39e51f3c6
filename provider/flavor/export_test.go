package flavor

// What the tests outside of the package see of it.
const (
	ForgetFailed = forgetFailed
	ForgetPick   = forgetPick
)

var (
	Pack = pack
)

var (
	ErrRegex = errRegex
)
