// Package software builds the software releases of a SlapOS node, each in a directory of its own
// below the software root, and removes them again.
//
// A release is named by the text of its URL, and its directory by the MD5 sum of that. The URL
// decides how it is built: by a profile of buildout, as SlapOS has it, or as one of the lighter
// kinds: an archive, a directory, a bundle or an image. All work for it has the rights of the
// software root's owner, also reading its sources. So no release can get at more than that user.
// Only removal is done as root.
//
// A file .completed says that a release is whole. The next attempt mends the remains of a killed
// process. A buildout goes on in its directory. A light release appears there by rename, and is
// begun anew.
//
// Elsewhere than on Linux nothing can be built.
package software
