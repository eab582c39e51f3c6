// Package scan says what a working tree holds: the files that belong on an instance, with their
// modes, times and hashes.
//
// An Entry is one file, link or empty directory. A Tree has all entries, sorted by the bytes of
// their paths. Two trees have the same ID only if their paths, kinds, modes, times and contents are
// the same. Directories are made as needed, so an Entry of kind Dir is one that would be missing
// otherwise. Paths are bytes, relative, with slashes, and stay within the tree. CheckPath checks
// them, and Encode and Decode check whole lists. So both sides of a connection may rely on it.
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
