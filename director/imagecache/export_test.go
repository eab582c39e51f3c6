package imagecache

// What the tests outside of the package see of it.
const (
	Limited = limited
	Issued  = issued
	Would   = would
)

var Statistics = statistics
