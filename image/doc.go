// Package image is the store of images: root file systems that come from a registry, an OCI layout,
// an archive, the local docker daemon, a tarball or a directory, verified by digest and unpacked
// once each layer, for all who make computers on this machine from them.
//
//	s, err := image.Open(dir, image.Options{})
//	img, err := s.Take(ctx, "debian:12", instanceDir, image.PullOptions{}) // what is here, else pulled; kept until instanceDir is gone
//	for _, l := range img.Layers { ... l.Dir ... }                         // bottom first: the lower directories of an overlay mount
//	user, err := image.LookupUser(img.Dirs(), img.Config.User)
//	err = s.Release(img.Digest, instanceDir)
//
// A layer is a directory in the form that overlay mounts with the option userxattr take: what a
// layer removes is a character device 0:0, and a directory that hides what is below it has the
// attribute user.overlay.opaque. Unpacked by root, files have the owners that the image says, which
// an id-mapped mount brings into a user name space; unpacked by an ordinary user, all are that
// user's. Device nodes are left out. Whoever mounts layers must not write into them.
//
// Nothing half-made counts: a layer and a record of an image appear by rename, when all of it is
// here and its digest is right. Any number of processes may use one store at once. What a killed
// process left behind is removed by the next one that meets it, known by a lock that nobody holds.
//
// The files of a store:
//
//	layers/DIGEST/fs             a layer's tree, by the digest of its uncompressed archive; beside it record.json
//	layers/new-*, layers/old-*   on the way in and on the way out
//	images/DIGEST.json           an image: its configuration and layers, by the digest of its configuration; its time of change is that of the last use
//	images/DIGEST.top/fs         a layer of that image alone, with directories whose modes and owners its layers left out
//	names/*.json                 a name and the image that it stood for when it was last pulled
//	uses/DIGEST/*                who uses an image: each file holds the name of a directory, and counts for as long as that exists
//	locks/                       one file for each layer, and one for the rest
//	tmp/                         archives on their way
package image
