// Package cache is the binary cache of SlapOS, from both sides: its directory ("shadir") holds
// signed entries by key, and each entry names, by its digest, what the store beside it ("shacache")
// holds. [Releases] fetches and uploads whole software releases by it, and [Handler] is one.
//
// An entry is believed where one of the certificates that the reader was given signed it.
// Certificates are bare keys here: neither their dates nor who signed them count. The signatures of
// this format are RSA with SHA-1, which is what all writers make. A content is believed by its
// digest.
//
// All of it may be used concurrently. Questions are not tried again; a content goes on where its
// connection broke, and uploads of releases are repeated.
package cache
