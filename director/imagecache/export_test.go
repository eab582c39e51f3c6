package imagecache

// What the tests outside of the package see of it.
const (
	Limited = limited
	Issued  = issued
	Would   = would
)

type Limiter = limiter

var (
	NewLimiter = newLimiter
	Statistics = statistics
)
