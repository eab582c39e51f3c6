package session

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/hostler-project/hostler/compute"
)

// A Reason is why EC2 did not do what was requested.
type Reason string

// The reasons.
const (
	// no capacity for the type at that place, or none at the price
	NoHardware Reason = "no hardware"
	// a limit of the account, or no address is left in the subnet
	Quota       Reason = "quota"
	Denied      Reason = "denied"        // the credentials or their rights
	RateLimited Reason = "rate limited"  // too many requests
	Missing     Reason = "not found"     // a thing that the request names
	Conflicting Reason = "conflict"      // the state of a thing forbids it
	TimedOut    Reason = "timed out"     // no answer in time
	BadRequest  Reason = "bad request"   // the request is malformed
	Unsupported Reason = "not supported" // this type, in that zone or way
	Down        Reason = "not available" // the service or the connection
	Unknown     Reason = "unknown"       // an error of no known class
)

// Fault is an error of EC2, in its own words.
type Fault struct {
	Reason  Reason
	Code    string // EC2's name for the error: InsufficientInstanceCapacity; "": it was no answer
	Message string
	cause   error
}

// Error returns the code and the words.
func (f *Fault) Error() string {
	if f.Code == "" {
		return f.Message
	}
	return f.Code + ": " + f.Message
}

// Unwrap returns the SDK's error.
func (f *Fault) Unwrap() error { return f.cause }

// ReasonOf returns the reason of an error, and "" of nil.
func ReasonOf(err error) Reason {
	var f *Fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Reason
	}
	return Unknown
}

// reasons has the codes whose form does not tell the reason.
var reasons = map[string]Reason{
	"InsufficientInstanceCapacity": NoHardware, "InsufficientHostCapacity": NoHardware,
	"InsufficientReservedInstanceCapacity": NoHardware, "InsufficientCapacity": NoHardware,
	"InsufficientCapacityOnOutpost": NoHardware, "SpotMaxPriceTooLow": NoHardware,
	"ReservationCapacityExceeded": NoHardware, "InsufficientVolumeCapacity": NoHardware,
	"InsufficientAddressCapacity": NoHardware,

	"MaxSpotInstanceCountExceeded": Quota, "InsufficientFreeAddressesInSubnet": Quota,
	"MaxSpotFleetRequestCountExceeded": Quota, "TagLimitExceeded": BadRequest, "ResourceLimitExceeded": Quota,

	"RequestLimitExceeded": RateLimited, "Throttling": RateLimited, "ThrottlingException": RateLimited,
	"RequestThrottled": RateLimited, "SlowDown": RateLimited,
	"EC2ThrottledException": RateLimited, "BandwidthLimitExceeded": RateLimited, "ClientInternalThrottle": RateLimited,
	"TooManyRequestsException": RateLimited,

	"UnauthorizedOperation": Denied, "AuthFailure": Denied, "Blocked": Denied, "OptInRequired": Denied,
	"PendingVerification": Denied, "PendingSnapshotLimitExceeded": Quota,
	"InvalidClientTokenId": Denied, "SignatureDoesNotMatch": Denied, "InvalidSignatureException": Denied,
	"ExpiredToken": Denied, "ExpiredTokenException": Denied, "RequestExpired": Denied, "IncompleteSignature": Denied,
	"MissingAuthenticationToken": Denied, "UnrecognizedClientException": Denied, "AccessDenied": Denied,
	"AccessDeniedException": Denied, "AccountProblem": Denied, "NotSignedUp": Denied,
	"ValidationError": BadRequest,

	"IdempotentParameterMismatch": Conflicting, "IncorrectInstanceState": Conflicting, "IncorrectState": Conflicting,
	"IncorrectSpotRequestState": Conflicting, "DependencyViolation": Conflicting,
	"OperationNotPermitted": Conflicting, "VolumeInUse": Conflicting, "InstanceAlreadyLinked": Conflicting,
	"ConcurrentTagAccess": Conflicting, "IncorrectInstanceInState": Conflicting,
	"InvalidState": Conflicting,

	"Unsupported": Unsupported, "UnsupportedOperation": Unsupported, "InstanceTypeNotSupported": Unsupported,
	"UnsupportedHibernationConfiguration":          Unsupported,
	"UnsupportedInstanceTypeOnHostRecoveryEnabled": Unsupported, "UnsupportedTenancy": Unsupported,

	"InternalError": Down, "InternalFailure": Down, "ServiceUnavailable": Down, "Unavailable": Down,
	"ServerInternal": Down, "RequestTimeout": TimedOut,
	"VPCResourceNotSpecified": BadRequest, "VPCIdNotSpecified": BadRequest, "MissingParameter": BadRequest,
	"UnknownParameter": BadRequest, "UnknownParameters": BadRequest, "MissingInput": BadRequest,
	"MalformedQueryString": BadRequest, "MaxIOPSLimitExceeded": Quota, "InvalidAction": BadRequest, "NoSuchVersion": BadRequest,
}

// ReasonOfCode returns the reason of an error code. server says that the HTTP status is 5xx.
func ReasonOfCode(code string, server bool) Reason {
	if r, ok := reasons[code]; ok {
		return r
	}
	switch {
	case strings.HasSuffix(code, ".NotFound"), strings.HasSuffix(code, ".Unknown"), strings.HasSuffix(code, "NotFoundException"):
		return Missing
	case strings.HasSuffix(code, ".Duplicate"), strings.HasSuffix(code, ".InUse"), strings.HasSuffix(code, "AlreadyExists"):
		return Conflicting
	case strings.HasSuffix(code, "LimitExceeded"):
		return Quota
	case strings.HasPrefix(code, "Insufficient"):
		return NoHardware
	case strings.HasPrefix(code, "Invalid"), strings.Contains(code, "Malformed"):
		return BadRequest
	case server:
		return Down
	}
	return Unknown
}

// Kinds maps reasons to kinds of errors.
var Kinds = map[Reason]*compute.Kind{
	NoHardware: compute.ErrNoCapacity, Quota: compute.ErrNoCapacity, Denied: compute.ErrDenied,
	RateLimited: compute.ErrUnavailable, Missing: compute.ErrNotFound,
	Conflicting: compute.ErrConflict, TimedOut: compute.ErrTimeout, BadRequest: compute.ErrInvalid,
	Unsupported: compute.ErrInvalid, Down: compute.ErrUnavailable, Unknown: compute.ErrFailed,
}

// Hints maps reasons to what the user can do.
var Hints = map[Reason]string{
	NoHardware: "name further types, zones or subnets in the source, or wait",
	Quota:      "ask for a higher quota at the service, or set a lower maximum for the source",
	Denied:     "see that AWS_PROFILE, or what else names your credentials, is right and not expired, and what they may do; docs/ec2.md lists the permissions",
	Down:       "see the region and the endpoint of the source, and whether the service has trouble",
}

// Wrap adds the operation and the instance to an error, and to one of EC2's a kind. An error with a
// kind is returned unchanged.
func Wrap(ctx context.Context, op string, id compute.ID, err error) error {
	var done *compute.Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	out := &compute.Error{Op: "ec2." + op, ID: id, Err: err}
	if ctx.Err() != nil {
		out.Err = context.Cause(ctx)
		return out
	}
	f := FaultOf(err)
	if f == nil {
		out.Kind = compute.ErrFailed
		return out
	}
	out.Kind, out.Err, out.Hint = Kinds[f.Reason], f, Hints[f.Reason]
	if f.Code == "OperationNotPermitted" {
		out.Hint = "take termination protection away from the instance"
	}
	return out
}

// FaultOf returns the meaning of an SDK error. nil: it is none.
func FaultOf(err error) *Fault {
	var f *Fault
	var api smithy.APIError
	var broken net.Error
	text := err.Error()
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &api):
		out := &Fault{
			Reason: ReasonOfCode(api.ErrorCode(), api.ErrorFault() == smithy.FaultServer), Code: api.ErrorCode(),
			Message: api.ErrorMessage(), cause: err,
		}
		if out.Reason == Denied {
			// The text after the first sentence may repeat what was signed.
			out.Message, out.cause = Sentence(out.Message), nil
		}
		return out
	case strings.Contains(text, "get credentials"), strings.Contains(text, "cached credentials"),
		strings.Contains(text, "static credentials are empty"):
		// A program for credentials may have put them into its error.
		return &Fault{Reason: Denied, Message: "there are no credentials that could be used: none were found, or they could not be renewed"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &broken) && broken.Timeout():
		return &Fault{Reason: TimedOut, Message: "no answer in time", cause: err}
	case errors.As(err, &broken):
		return &Fault{Reason: Down, Message: broken.Error(), cause: err}
	case strings.Contains(text, "rate limit token"), strings.Contains(text, "failed to get rate limit token"),
		strings.Contains(text, "retry quota exceeded"):
		return &Fault{Reason: RateLimited, Message: "the service asked to be spared, and it is: too many calls failed", cause: err}
	case strings.Contains(text, "operation error EC2"):
		return &Fault{Reason: Down, Message: text, cause: err}
	}
	return nil
}

// Sentence returns the first sentence of a text.
func Sentence(text string) string {
	for i, r := range text {
		if r == '\n' || r == '.' && strings.HasPrefix(text[i:], ". ") {
			return text[:i]
		}
	}
	return text
}

// Definite reports whether a launch that failed with an error certainly made nothing.
func Definite(err error) bool {
	switch ReasonOf(err) {
	case NoHardware, Quota, Denied, Missing, BadRequest, Unsupported:
		var f *Fault
		return errors.As(err, &f) && f.Code != ""
	}
	return false
}

// Why returns the reason of an SDK error.
func Why(err error) Reason {
	if err == nil {
		return ""
	}
	if f := FaultOf(err); f != nil {
		return f.Reason
	}
	return Unknown
}
