package provider

import "github.com/hostler-project/hostler/compute"

// Static is a provider whose computers exist already, or stay as they are: this machine, machines
// behind ssh.
type Static interface {
	// Names returns the names of the computers, in order of preference. Their number is the
	// source's intrinsic maximum, and an instance is named SOURCE-NAME. None: the provider makes
	// its computers. It does no I/O.
	Names() []string
	// AsIs reports whether the machines stay: then reuse = as-is is the default.
	AsIs() bool
	// Lookup returns what is known of a computer that needs no making, and is handed out without
	// I/O. ok is false when there is none of that name.
	Lookup(id compute.ID) (i compute.Instance, ok bool)
}
