package api

import "time"

// PageHeader is a header that requests of a browser's session need when they change something.
// Pages of other sites cannot set it.
const PageHeader = "Hostler-Page"

// SignIn says how people sign in to a controller.
type SignIn struct {
	Issuer   string   `json:"issuer" doc:"Issuer of OpenID Connect. Empty if there is none: callers then use a token or a certificate."`
	ClientID string   `json:"client_id,omitempty" doc:"Client ID for sign-in by a device code"`
	Scopes   []string `json:"scopes,omitempty" nullable:"false" doc:"Scopes to request from the issuer"`
}

// Proof is what a person presents to sign in.
type Proof struct {
	IDToken     string `json:"id_token" maxLength:"65536" doc:"A fresh ID token of the issuer that has not been used here"`
	AccessToken string `json:"access_token,omitempty" maxLength:"65536" doc:"Access token that came with the ID token. With it the issuer is asked for what the ID token leaves out."`
	Verifier    string `json:"verifier,omitempty" maxLength:"256" doc:"If the ID token has a nonce, it is the SHA-256 of this word, in URL-safe base64 without padding"`
}

// Session is what a person gets by signing in.
type Session struct {
	Token   string    `json:"token" doc:"Token for the next requests. It is shown once."`
	Name    string    `json:"name" doc:"Name of the user"`
	Expires time.Time `json:"expires" doc:"When the user has to sign in again"`
}

// SignedOut says whether signing out revoked the token.
type SignedOut struct {
	Revoked bool `json:"revoked" doc:"false: the token was not made by a sign-in, and stays valid"`
}
