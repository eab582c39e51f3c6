package format

// What the tests outside of the package see of it.

type (
	Team     = team
	Step     = step
	Machine  = machine
	Link     = link
	Entry    = entry
	Command  = command
	Assigned = assigned
	Account  = account
)

var Plan = plan
