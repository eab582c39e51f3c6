// Package tree turns trees of files into tar streams and back: Pack and Unpack. It keeps modes,
// times, links, holes and names of any bytes. Unpack writes nothing outside of the named directory,
// whatever the stream says and whatever changes the files meanwhile.
//
// The smaller names are for packages that do the same to files elsewhere (remote/sshconn).
package tree
