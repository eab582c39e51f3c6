//go:build !unix

package cache

// ownerOf is to whom belongs what is made beside a directory: ourselves.
func ownerOf(string) (uid, gid int, err error) { return -1, -1, nil }
