// Package fetch reaches what others name: registries of images, receivers of events, providers of
// sign-in, pages of SlapOS instances. A process that fetches for somebody else stands inside its
// network, so an address that it is given could be its own loopback, a cloud's metadata service or
// a neighbour that nobody outside may reach. A [Guard] resolves a name once, judges every address
// that the name has, and dials an address that it has judged: an answer that changes in between
// leads nowhere. Redirects and connections that are kept for later pass the same way, because it is
// the dialer that judges. The operator's configuration says what is allowed beyond the internet:
// see [Parse].
package fetch
