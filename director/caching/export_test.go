package caching

// What the tests outside of the package see of it.
const (
	Issued = issued
	Would  = would
)

type (
	Forecast = forecast
)

var (
	NewLimiter = newLimiter
	Statistics = statistics
)
