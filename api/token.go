package api

import "time"

// Token is the document of a token, without its text.
type Token struct {
	ID          string     `json:"id"`
	Kind        string     `json:"kind" enum:"token,session,lease" doc:"made by somebody, opened by a sign-in, or of one lease alone"`
	Name        string     `json:"name,omitempty" doc:"what it is for, for people to read"`
	Owner       string     `json:"owner" doc:"who comes with it is this one"`
	Project     *string    `json:"project,omitempty" doc:"it is for this project alone; left out: for all of its owner's"`
	Role        string     `json:"role,omitempty" doc:"he is this at most; left out: what he is"`
	Permissions []string   `json:"permissions,omitempty" doc:"at most these; left out: all of his role"`
	Source      string     `json:"source,omitempty" doc:"for this source alone"`
	Lease       string     `json:"lease,omitempty" doc:"for this lease alone; it ends with that"`
	Parent      string     `json:"parent,omitempty" doc:"the token that it was made with; it ends with that"`
	Created     time.Time  `json:"created"`
	Expires     *time.Time `json:"expires" doc:"null: with its lease"`
	Used        *time.Time `json:"used" doc:"last, to some minutes; null: not yet"`
	From        string     `json:"from,omitempty" doc:"where it was used from then"`
}

// TokenRequest asks for a token. A token never grants more than the caller has.
type TokenRequest struct {
	Name        string   `json:"name,omitempty" maxLength:"200" doc:"what it is for, for people to read"`
	Owner       string   `json:"owner,omitempty" maxLength:"200" doc:"whose it is to be, for administrators; the caller's unless it is said"`
	Project     *string  `json:"project,omitempty" doc:"for this project alone"`
	Role        string   `json:"role,omitempty" enum:"viewer,user,operator,admin" doc:"at most this"`
	Permissions []string `json:"permissions,omitempty" doc:"at most these: see, take, use, extend, release, tokens, others, audit, manage, meter"`
	Source      string   `json:"source,omitempty" doc:"for this source alone"`
	Life        float64  `json:"life,omitempty" minimum:"0" doc:"seconds until it ends; 0: as the controller has it, 90 days unless it is configured"`
}

// NewToken is a new token with its text, which is sent only once.
type NewToken struct {
	Secret string `json:"token" doc:"the token itself, to be presented as Authorization: Bearer TOKEN; it is not kept, and never told again"`
	Token
}

// LeaseTokenRequest asks for a lease's own token.
type LeaseTokenRequest struct {
	Extend bool `json:"extend,omitempty" doc:"it may keep the lease longer, too"`
}
