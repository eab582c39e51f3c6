package node

// What the tests outside of the package see of it.

var Plan = plan

type (
	Seen  = observed
	Rules = rules
)
