// Package cache is the binary cache of SlapOS, from both sides. Its directory ("shadir") holds
// signed entries by key. Each entry names, by its digest, a content of the store beside it
// ("shacache"). [Releases] fetches and uploads whole software releases by it, and [Handler] is such
// a cache.
//
// An entry is trusted if one of the reader's certificates signed it. Certificates are bare keys
// here: neither their dates nor their issuers count. The signatures of this format are RSA with
// SHA-1, as all writers make them. A content is checked by its digest.
//
// All of it may be used concurrently. Queries are not repeated. A download resumes where its
// connection broke, and uploads of releases are repeated.
package cache
