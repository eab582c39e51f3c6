// Package signin knows people by a provider of OpenID Connect: it checks what the provider says of
// somebody, and takes a browser there and back.
//
// It believes what a token says of its subject only as far as nobody but the provider can have
// written it: the signature, issuer, audience and age are checked, an e-mail address counts where
// the provider has verified it, and a name is refused that could be taken for another's. What
// somebody may do is not its business.
package signin
