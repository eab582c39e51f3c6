package deploy

// What the tests outside of the package see of it.
type (
	SetupError = setupError
)

var (
	ReadResults = readResults
	ShortName   = shortName
)

var (
	ErrUnreadable = errUnreadable
)
