package proto

// The two readers of a document, each alone.
var (
	Quick             = quickValue
	Careful           = careful
	QuickParameters   = quickParameters
	CarefulParameters = carefulParameters
)
