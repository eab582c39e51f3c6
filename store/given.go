package store

import "github.com/hostler-project/hostler/compute"

// ErrGiven is an ErrConflict: the leases of a request were given to it already, by another
// controller.
var ErrGiven error = given{}

type given struct{}

func (given) Error() string { return "given already" }

func (given) Unwrap() error { return compute.ErrConflict }
