// Package fetch reaches hosts that callers name: image registries, webhooks, sign-in providers,
// pages of SlapOS instances.
//
// A process that fetches for others is inside its own network. An address it is given could be its
// loopback, a cloud's metadata service, or a neighbour that is closed to the outside. A [Guard]
// resolves a name once, judges every address of the name, and dials one that it has judged. So an
// answer of DNS that changes in between has no effect. Redirects and kept connections are judged
// too, because it is the dialer that judges. The operator's configuration allows more than the
// internet: see [Parse].
package fetch
