package api

import "time"

// PageHeader is a header that requests which change something need when they come with a browser's
// session: no other site's page can have it sent.
const PageHeader = "Hostler-Page"

// SignIn is how people sign in to a controller.
type SignIn struct {
	Issuer   string   `json:"issuer" doc:"of the provider of OpenID Connect; empty: there is none, and one comes with a token or a certificate"`
	ClientID string   `json:"client_id,omitempty" doc:"of those who sign in by a device's code"`
	Scopes   []string `json:"scopes,omitempty" nullable:"false" doc:"to ask the provider for"`
}

// Proof is what somebody shows to be signed in.
type Proof struct {
	IDToken     string `json:"id_token" maxLength:"65536" doc:"that the provider has just given, and that was not shown before"`
	AccessToken string `json:"access_token,omitempty" maxLength:"65536" doc:"that came with it: the provider is asked by it for what the ID token leaves out"`
	Verifier    string `json:"verifier,omitempty" maxLength:"256" doc:"the ID token's nonce, if it has one, is this word's SHA-256 in base64 for addresses, without padding"`
}

// Session is what somebody gets who has signed in.
type Session struct {
	Token   string    `json:"token" doc:"to present from now on; it cannot be seen again"`
	Name    string    `json:"name" doc:"who he is here"`
	Expires time.Time `json:"expires" doc:"when he has to sign in again"`
}

// SignedOut is what became of a session.
type SignedOut struct {
	Revoked bool `json:"revoked" doc:"the token is good for nothing any more; else it was not made by signing in, and goes on to work until it is revoked"`
}
