//go:build !race

package computetest

// muchData is what the large streams carry: more than any buffer on the way, and more than would be
// kept in memory unnoticed.
const muchData = 1 << 30
