// Package software builds the software releases of a SlapOS node, each in a directory of its own
// below the software root, and takes them away again.
//
// A release is named by the text of its URL, and its directory by the MD5 sum of that. What the URL
// says decides how it is built: a profile of buildout, as SlapOS has it, or one of the lighter
// kinds: an archive, a directory, a bundle or an image. Whatever it is, all that is done for it,
// reading what it is made from included, is done with the rights of the software root's owner, so
// that no release can have what that one could not have; as root only removal is done.
//
// A file .completed says that a release is whole. What a killed process left is mended by the next
// attempt: a buildout goes on in its directory, a light release appears there by rename and is
// begun anew.
//
// Elsewhere than on Linux nothing can be built.
package software
