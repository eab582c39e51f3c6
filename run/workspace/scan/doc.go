// Package scan says what a working tree holds: the files that belong on an instance, each with its
// mode, time and hash.
//
// An Entry is one file, link or empty directory; a Tree is all of them, sorted by the bytes of
// their paths, with an ID that two trees share only if all that is sent of them is the same: paths,
// kinds, modes, times and contents. Directories are there as needed: an Entry of kind Dir is one
// that would not be there otherwise. Paths are bytes, relative, with slashes, and never lead out of
// the tree: CheckPath is the rule, and Encode and Decode hold lists to it, so both sides of a wire
// may rely on it.
//
// # The form of a list
//
// Encode writes, and Decode reads, a list of entries:
//
//	list   = "hostler tree 1\n" *entry %x00
//	entry  = kind shared length suffix rest     kind: %x01 file, %x02 link, %x03 dir
//	file:  rest = mode size mtime sum           sum: the 32 bytes of the SHA-256 of its contents
//	link:  rest = length target
//	dir:   rest = mode
//
// shared is the number of bytes that the path has in common with the one before it, and length that
// of the suffix which follows. Numbers are unsigned varints of encoding/binary, mtime (nanoseconds
// since 1970) a signed one.
//
// All functions of the package may be called by any number of goroutines at once.
package scan
