package provider

import (
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
)

// asking says whether a Create that failed may have begun to make something.
type asking struct {
	error
	asked bool
}

func (a *asking) Unwrap() error { return a.error }

// Unasked marks an error of Create that came before the provider's place was asked for anything. So
// nothing was made, and there is nothing to destroy.
func Unasked(err error) error { return &asking{err, false} }

// Asked removes that mark, for a caller that knows of an earlier call.
func Asked(err error) error { return &asking{err, true} }

// WasUnasked reports whether an error of Create says that nothing was made.
func WasUnasked(err error) bool {
	var a *asking
	return errors.As(err, &a) && !a.asked
}

// KeyError says what is wrong with a key of a source. The reader of the file that has the key can
// add where. Its text is its cause's, which names the key.
type KeyError struct {
	Key string // as it is written in a source.conf
	Err error
}

// Error returns the cause's text.
func (e *KeyError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

// WrongKey returns an ErrInvalid about a key. The hint may be empty. The text is formatted as by
// fmt.Errorf, and should begin with the key.
func WrongKey(key, hint, format string, args ...any) error {
	return &compute.Error{Kind: compute.ErrInvalid, Err: &KeyError{Key: key, Err: fmt.Errorf(format, args...)}, Hint: hint}
}
