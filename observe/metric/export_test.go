package metric

// What the tests outside of the package see of it.
const (
	ContentType = contentType
)
