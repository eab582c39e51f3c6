// Package cache asks the binary cache of SlapOS what it has: its directory ("shadir") holds signed entries by key, and each entry names, by its
// digest, what the store beside it ("shacache") holds.
//
// An entry is believed where one of the certificates that the reader was given signed it. Certificates are bare keys here: neither their dates nor who
// signed them count. The signatures of this format are RSA with SHA-1, which is what all writers make.
//
// A Directory may be used concurrently; nothing is tried again.
package cache
