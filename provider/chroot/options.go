package chroot

import (
	"cmp"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
)

// options are the options of a source of type chroot.
type options struct {
	// the base: a directory, or a tarball (.tar, .tar.gz, .tar.xz, .tar.zst, .tar.bz2); an absolute
	// path that only root or the caller may change
	Base string `conf:"base"`
	// in place of a base: an image of the store, pulled if it is not there
	Image string `conf:"image"`
	// overlay, copy or auto; "": auto, which is overlay where it works
	Layer  string `conf:"layer"`
	Resolv bool   `conf:"resolv"` // put this machine's resolv.conf into each instance

	Source       string         // the source's name
	Installation string         // the installation's id
	Dir          string         // where the instances are; required
	Images       string         // the store of images; required for images
	ImageLimits  image.Limits   // of images that are unpacked there
	Registry     image.Registry // knows registries of images
	Others       *image.Others  // how images that requests name are fetched; nil: as the owner's
	Home         string         // the user's, which ~/ before an image's file stands for
}

// Check validates the keys, without a look at any file. Its errors are provider.KeyErrors.
func (o options) Check() error {
	switch {
	case o.Base != "" && o.Image != "":
		return provider.WrongKey("base", "leave one of them out", "base = %s and image = %s: both", o.Base, o.Image)
	case o.Image == "" && !filepath.IsAbs(o.Base):
		return provider.WrongKey(
			"base", "set base to the absolute path of a directory or tarball with a root file system",
			"base = %s: no absolute path", o.Base,
		)
	case !slices.Contains([]string{"auto", "overlay", "copy"}, cmp.Or(o.Layer, "auto")):
		return provider.WrongKey("layer", "", "layer = %s: not auto, overlay or copy", o.Layer)
	}
	return nil
}
