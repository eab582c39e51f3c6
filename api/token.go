package api

import "time"

// Token is the document of a token, without its text.
type Token struct {
	ID          string     `json:"id"`
	Kind        string     `json:"kind" enum:"token,session,lease" doc:"token: by a user. session: by a sign-in. lease: of one lease."`
	Name        string     `json:"name,omitempty" doc:"What the token is for, for people to read"`
	Owner       string     `json:"owner" doc:"Requests with this token act as this owner"`
	Project     *string    `json:"project,omitempty" doc:"The token is good for this project alone. Left out: for all."`
	Role        string     `json:"role,omitempty" doc:"Highest role of the token. Left out: the owner's roles."`
	Permissions []string   `json:"permissions,omitempty" doc:"The only permissions of the token. Left out: all permissions of its role."`
	Source      string     `json:"source,omitempty" doc:"The token is good for this source alone"`
	Lease       string     `json:"lease,omitempty" doc:"The token is good for this lease alone, and ends with it"`
	Parent      string     `json:"parent,omitempty" doc:"The token that made this one. This one ends with it."`
	Created     time.Time  `json:"created"`
	Expires     *time.Time `json:"expires" doc:"When the token ends. null means with its lease."`
	Used        *time.Time `json:"used" doc:"Last use, to some minutes. null means never."`
	From        string     `json:"from,omitempty" doc:"Address of the last use"`
}

// TokenRequest asks for a token. A token never grants more than the caller has.
type TokenRequest struct {
	Name        string   `json:"name,omitempty" maxLength:"200" doc:"What the token is for, for people to read"`
	Owner       string   `json:"owner,omitempty" maxLength:"200" doc:"Owner of the token, set by administrators only. The default is the caller."`
	Project     *string  `json:"project,omitempty" doc:"The token is good for this project alone"`
	Role        string   `json:"role,omitempty" enum:"viewer,user,operator,admin" doc:"Highest role of the token"`
	Permissions []string `json:"permissions,omitempty" doc:"The only permissions of the token: see, take, use, extend, release, tokens, others, audit, manage, meter"`
	Source      string   `json:"source,omitempty" doc:"for this source alone"`
	Life        float64  `json:"life,omitempty" minimum:"0" doc:"Seconds until the token ends. 0 means the controller's setting, which is 90 days by default."`
}

// NewToken is a new token with its text, which is sent only once.
type NewToken struct {
	Secret string `json:"token" doc:"The token itself, to be sent as Authorization: Bearer TOKEN. It is shown once and not stored."`
	Token
}

// LeaseTokenRequest asks for a lease's own token.
type LeaseTokenRequest struct {
	Extend bool `json:"extend,omitempty" doc:"The token may extend the lease too"`
}
