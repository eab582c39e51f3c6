// Package signin signs people in with a provider of OpenID Connect. It verifies ID tokens, and
// takes a browser to the provider's page and back.
//
// It checks the signature, issuer, audience and age of a token. An e-mail address counts only if
// the provider has verified it. A name that could be mistaken for another is refused. What a person
// may do is decided elsewhere.
package signin
