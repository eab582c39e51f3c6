package provider

import "github.com/hostler-project/hostler/compute"

// Static is a provider whose computers exist already, under names of their own: this machine,
// machines behind ssh. Their number is the source's intrinsic maximum, and an instance is named
// SOURCE-NAME.
type Static interface {
	// Names returns the names, in order of preference. It does no I/O.
	Names() []string
}

// Standing is a Static provider whose computers need no making: they are handed out without I/O.
type Standing interface {
	// Standing returns what is known of a computer, without I/O. ok is false when there is none of
	// that name.
	Standing(id compute.ID) (i compute.Instance, ok bool)
}

// AsIs is a provider of machines that stay: where AsIs returns true, reuse = as-is is the default.
type AsIs interface{ AsIs() bool }
