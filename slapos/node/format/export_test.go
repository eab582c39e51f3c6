package format

// What the tests outside of the package see of it.

type (
	Team     = unixGroup
	Step     = step
	Machine  = machine
	Link     = link
	Entry    = entry
	Command  = command
	Assigned = assigned
	Account  = account
)

var Plan = plan
