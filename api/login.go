package api

import "time"

// PageHeader is a header that requests of a browser's session need when they change something.
// Pages of other sites cannot set it.
const PageHeader = "Hostler-Page"

// SignIn says how people sign in to a controller.
type SignIn struct {
	Issuer   string   `json:"issuer" doc:"of the provider of OpenID Connect; empty: there is none, and one comes with a token or a certificate"`
	ClientID string   `json:"client_id,omitempty" doc:"of those who sign in by a device's code"`
	Scopes   []string `json:"scopes,omitempty" nullable:"false" doc:"to ask the provider for"`
}

// Proof is what a person presents to sign in.
type Proof struct {
	IDToken     string `json:"id_token" maxLength:"65536" doc:"that the provider has just given, and that was not shown before"`
	AccessToken string `json:"access_token,omitempty" maxLength:"65536" doc:"that came with it: the provider is asked by it for what the ID token leaves out"`
	Verifier    string `json:"verifier,omitempty" maxLength:"256" doc:"the ID token's nonce, if it has one, is this word's SHA-256 in base64 for addresses, without padding"`
}

// Session is what a person gets by signing in.
type Session struct {
	Token   string    `json:"token" doc:"to present from now on; it cannot be seen again"`
	Name    string    `json:"name" doc:"who he is here"`
	Expires time.Time `json:"expires" doc:"when he has to sign in again"`
}

// SignedOut says whether signing out revoked the token.
type SignedOut struct {
	Revoked bool `json:"revoked" doc:"the token is good for nothing any more; else it was not made by signing in, and goes on to work until it is revoked"`
}
