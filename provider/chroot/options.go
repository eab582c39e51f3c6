package chroot

// Options of a source of type chroot.
type Options struct {
	Base   string `conf:"base"`   // the base: a directory, or a tarball (.tar, .tar.gz, .tar.xz, .tar.zst, .tar.bz2); an absolute path; root's or the caller's alone
	Image  string `conf:"image"`  // in place of a base: an image of the store, pulled if it is not there
	Layer  string `conf:"layer"`  // overlay, copy or auto; "": auto, which is overlay where it works
	Resolv bool   `conf:"resolv"` // put this machine's resolv.conf into each instance

	Source       string // the source's name
	Installation string // the installation's id
	Dir          string // where the instances are; required
	Images       string // the store of images; required for any
	Home         string // the user's, which ~/ before an image's file stands for
}
