//go:build !race

package computetest

// muchData is the length of the large streams: more than any buffer on the way, and more than could
// be kept in memory unnoticed.
const muchData = 1 << 30
