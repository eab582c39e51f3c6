// Package tree turns trees of files into tar streams and back: Pack and Unpack. Modes, times,
// links, holes and names of any bytes are kept, and nothing is ever unpacked outside of the
// directory that was named, whatever the stream says and whoever changes the files meanwhile.
//
// The smaller names are for those who do the same to files that are elsewhere (remote/sshconn).
package tree
