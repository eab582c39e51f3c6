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
	Interleave   = interleave
	NewLimiter   = newLimiter
	ParseWeights = parseWeights
	Ranking      = ranking
	Statistics   = statistics
)
