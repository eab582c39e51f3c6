package proto

import (
	"errors"
	"fmt"
	"strconv"
	"unicode"
)

// The bounds of a document, in both directions. A computer with a hundred busy partitions is a
// document of 200 kB and depth 8.
const (
	MaxSize  = 16 << 20 // bytes, what references repeat included
	MaxDepth = 100      // values within values
)

// A value is nil, a bool, an int64 (an int may be written too), a *big.Int, a float64, a
// complex128, a string, a [List], a [Tuple], a [Set], a [Dictionary] or an [*Object].
//
// Values that were read may share parts with each other, if the document had references: do not
// change them in place.
type (
	List  []any
	Tuple []any
	Set   []any

	// A Dictionary has only texts as keys: no peer sends others.
	Dictionary map[string]any
)

// An Object is one of the four objects of the protocol: the arguments of its constructor and its
// attributes.
type Object struct {
	Class      Class
	Args       Tuple
	Attributes Dictionary
}

// A Class names what an object is.
type Class string

// The only classes that may stand in a document.
const (
	ClassComputer  Class = "Computer"
	ClassPartition Class = "ComputerPartition"
	ClassRelease   Class = "SoftwareRelease"
	ClassInstance  Class = "SoftwareInstance"
)

// The module of all four, as their peers call it.
const module = "slapos.slap.slap"

func (c Class) known() bool {
	return c == ClassComputer || c == ClassPartition || c == ClassRelease || c == ClassInstance
}

var (
	// ErrMalformed is what every error is that says that a document is not of its format.
	ErrMalformed = errors.New("malformed")
	// ErrUnwritable is what every error is that says that a value has no form in the format.
	ErrUnwritable = errors.New("cannot be written")
)

// A fault is an error of one of the two kinds above: in a value that is written the place is the
// path to it.
type fault struct {
	kind  error
	place string // "" for the whole
	text  string
}

func (f *fault) Error() string {
	if f.place == "" {
		return "slap: " + f.text
	}
	return "slap: " + f.place + ": " + f.text
}

func (f *fault) Unwrap() error { return f.kind }

// Malformed is an error that is [ErrMalformed]; place is the path to the value, "" the whole.
func Malformed(place, format string, args ...any) error {
	return &fault{kind: ErrMalformed, place: place, text: fmt.Sprintf(format, args...)}
}

// Unwritable is an error that is [ErrUnwritable]; place is as of [Malformed].
func Unwritable(place, format string, args ...any) error {
	return &fault{kind: ErrUnwritable, place: place, text: fmt.Sprintf(format, args...)}
}

// The longest name in the place of an error, in characters.
const maxName = 60

// The longest place of an error that still grows, in bytes.
const maxPlace = 200

// printable is a name as it may stand in an error: short, and without what a terminal obeys.
func printable(name string) string {
	short := name
	if len(name) > maxName { // then perhaps in characters too
		if runes := []rune(name[:min(len(name), 4*maxName)]); len(runes) > maxName {
			short = string(runes[:maxName]) + "…"
		}
	}
	for _, r := range short {
		if !unicode.IsPrint(r) {
			return strconv.Quote(short)
		}
	}
	return short
}

// Within prefixes the place of an error with the name of the enclosing value.
func Within(holder string, err error) error {
	holder = printable(holder)
	f, ok := errors.AsType[*fault](err)
	if !ok {
		return fmt.Errorf("%s: %w", holder, err)
	}
	place := holder
	if len(f.place) > maxPlace {
		return f // deep, and by now long enough to be found
	}
	if f.place != "" && f.place[0] == '[' {
		place += f.place
	} else if f.place != "" {
		place += "." + f.place
	}
	return &fault{kind: f.kind, place: place, text: f.text}
}
