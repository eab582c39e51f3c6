package nodetest

// What the tests outside of the package see of it.

var (
	NewWire = newWire
	NewNode = newNode
)
