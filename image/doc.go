// Package image keeps images: root file systems from a registry, an OCI layout, an archive, the
// local docker daemon, a tarball or a directory. Each layer is verified by its digest and unpacked
// once, for all computers that are made from it on this machine.
//
//	s, err := image.Open(dir, image.Options{Registry: registry.Client{}})
//	img, err := s.Take(ctx, "debian:12", instanceDir, image.PullOptions{}) // what is here, else pulled; kept until instanceDir is gone
//	for _, l := range img.Layers { ... l.Dir ... }                         // bottom first: the lower directories of an overlay mount
//	user, err := image.LookupUser(img.Dirs(), img.Config.User)
//	err = s.Release(img.Digest, instanceDir)
//
// The rules of registries, for names and for requests, need a large library. It is in package
// registry alone, and not linked by a program that gives the store another Registry. An image that
// is here is found without it, and a layout or an archive is read without it.
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
//	layers/DIGEST/fs             a layer's tree, by the digest of its uncompressed archive
//	layers/DIGEST/record.json    what is known of the layer
//	layers/new-*, layers/old-*   on the way in and on the way out
//	images/DIGEST.json           an image, by its configuration's digest; its time: the last use
//	images/DIGEST.top/fs         a layer of that image alone: directories its layers left out
//	names/*.json                 a name and the image that it stood for when it was last pulled
//	uses/DIGEST/*                a user of an image: a directory's name, of use while it exists
//	locks/                       one file for each layer, and one for the rest
//	tmp/                         archives on their way
package image
