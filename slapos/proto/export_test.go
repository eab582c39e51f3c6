package proto

// The two readers of a document, each alone.
var (
	Quick             = fastParseValue
	Careful           = parseAnyXML
	QuickParameters   = fastParseParameters
	CarefulParameters = parseAnyParameters
)
