// Package image keeps images: root file systems from a registry, an OCI layout, an archive, the
// local docker daemon, a tarball or a directory. Each layer is verified by its digest and unpacked
// once, for all computers that are made from it on this machine.
//
//	s, err := image.Open(dir, image.Options{})
//	img, err := s.Take(ctx, "debian:12", instanceDir, image.PullOptions{}) // what is here, else pulled; kept until instanceDir is gone
//	for _, l := range img.Layers { ... l.Dir ... }                         // bottom first: the lower directories of an overlay mount
//	user, err := image.LookupUser(img.Dirs(), img.Config.User)
//	err = s.Release(img.Digest, instanceDir)
//
// Package layer says how a layer looks as a directory. Files that root unpacks have the owners that
// the image says, and an id-mapped mount brings them into a user name space. Files that an ordinary
// user unpacks belong to that user. Device nodes are left out. Nobody may write into a layer.
//
// A layer and the record of an image appear by rename, once they are complete and their digest is
// right. Any number of processes may use one store at once. The lock of a killed process is free,
// so the next process removes what it left behind.
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
