package provider

// FactIdentity is the fact of an instance that says which computer it is, in its provider's words.
const FactIdentity = "identity"

// FactPrice is the fact of an instance that says what it costs for an hour, a number.
const FactPrice = "price"

// The facts of an instance for which an image may have stood ready on a machine: whether it did
// (hit or miss), the image, and the machine. The journal keeps them.
const (
	FactCached = "cached"
	FactImage  = "image"
	FactNode   = "node"
)

// FactTemplate is the fact of an instance of a Versioned provider that has the digest of what it
// was made from.
const FactTemplate = "template"

// FactChosen is the fact of an instance that was made otherwise than its source says, for a request
// that chose: its value is the choice. Such an instance is not used again.
const FactChosen = "chosen"
