// Package metal has the types for bare-metal nodes on which images are cached ahead of need.
// Writing an image takes ten minutes; booting from a cached one takes a fraction of that.
//
// A Scout reads what there is (a Fleet). A Strategy decides what to cache and what to eject (a
// Plan). A Commander does it. The package joins those that decide (director/imagecache) and
// those that know a service (provider/ironic).
package metal
