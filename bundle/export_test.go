package bundle

// What the tests outside of the package see of it.
type TemplateError = templateError

var (
	Expand       = expand
	TemplateType = templateType
)

var (
	ErrMissing     = errMissing
	ErrTemplate    = errTemplate
	ErrUnsupported = errUnsupported
)
