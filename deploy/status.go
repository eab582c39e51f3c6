package deploy

import (
	"encoding/json"
	"encoding/xml"
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// The exit statuses of the old commands.
const (
	StatusRefused     = 1  // destroy-node: no such node, or it is protected
	StatusUnreadable  = 2  // destroy-node: unreadable test results; all commands: usage
	statusTests       = 3  // destroy-node: not all tests passed
	statusUnexpected  = 11 // anything else
	statusMalformed   = 12 // a provider's answer cannot be read
	statusUnavailable = 13 // a provider is out of service
	statusDeploy      = 14 // a node was made, and setting it up failed
	statusSFTP        = 15 // and it could not be reached in time
	// the most that scripts return together, as 256 would look like success
	mostOfScripts = 9
)

// The reasons why the gate keeps a node.
var (
	errUnreadable = errors.New("test results cannot be read")
	ErrTests      = errors.New("not all tests passed")
)

// ScriptStatus returns the old commands' exit status for scripts' statuses: their sum, at most 9.
func ScriptStatus(statuses []int) int {
	sum := 0
	for _, n := range statuses {
		sum = min(sum+max(n, 0), mostOfScripts)
	}
	return sum
}

// setupError is a failure after the node was made.
type setupError struct{ Err error }

func (e *setupError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *setupError) Unwrap() error { return e.Err }

// OldStatus returns the old commands' exit status for an error.
func OldStatus(err error) int {
	var setup *setupError
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	var markup *xml.SyntaxError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUnreadable):
		return StatusUnreadable
	case errors.Is(err, ErrTests):
		return statusTests
	case errors.As(err, &setup):
		if errors.Is(err, compute.ErrTimeout) || errors.Is(err, compute.ErrNotReady) {
			return statusSFTP
		}
		return statusDeploy
	case errors.As(err, &syntax), errors.As(err, &typ), errors.As(err, &markup):
		return statusMalformed
	case errors.Is(err, compute.ErrUnavailable):
		return statusUnavailable
	case errors.Is(err, compute.ErrInvalid):
		return StatusUnreadable
	}
	return statusUnexpected
}
