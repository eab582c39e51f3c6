package cloud

// The scripts of the shared disk, for tests of what they do on distributions that no host of the lab has.
const (
	Export = export
	Mount  = mount
)
