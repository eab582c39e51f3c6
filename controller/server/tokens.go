package server

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/access"
	"github.com/hostler-project/hostler/controller/server/request"
)

// Tokens makes, lists and revokes tokens. auth.TokenRegistry does.
type Tokens interface {
	Make(ctx context.Context, t *auth.Token, life time.Duration) (secret string, err error)
	List(ctx context.Context) ([]*auth.Token, error)
	Revoke(ctx context.Context, id string, may func(*auth.Token) error) ([]*auth.Token, error)
	// Check returns why maker may not make a token, or nil.
	Check(maker auth.Principal, t *auth.Token) error
}

type newTokenAnswer struct {
	Cache string `header:"Cache-Control"`
	Body  api.NewToken
}

type tokenList struct {
	Body struct {
		Tokens []api.Token `json:"tokens" doc:"the oldest first"`
	}
}

// tokens serves the tokens.
type tokens struct {
	engine func() Engine
	rules  *access.Rules
	ring   Tokens // nil: there are none
}

// createToken makes a token after checking that its maker may give what it grants.
func (s *tokens) createToken(ctx context.Context, in *struct{ Body api.TokenRequest }) (*newTokenAnswer, error) {
	p, b := request.Caller(ctx), in.Body
	t := &auth.Token{Name: b.Name, Owner: b.Owner, Source: b.Source}
	if t.Owner == "" {
		t.Owner, t.Groups = p.Name, p.Groups
	}
	// also for a token of another user: revoking the maker's token revokes all that was made with
	// it
	t.Parent = p.Token
	var err error
	if t.Name != strings.ToValidUTF8(t.Name, "") || strings.ContainsFunc(t.Name+t.Owner, func(c rune) bool { return !unicode.IsPrint(c) }) {
		err = errors.New("a token's name and owner have no letters that cannot be seen")
	}
	if b.Role != "" && err == nil {
		t.Role, err = auth.ParseRole(b.Role)
	}
	if err == nil {
		t.Only, err = auth.ParsePermissions(b.Permissions...)
	}
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	if b.Project != nil {
		t.Bound, t.Project = true, *b.Project
	} else if p.Chosen {
		t.Bound, t.Project = true, p.Project
	}
	if err := s.rules.Names(p, t); err != nil {
		return nil, err
	}
	if err := s.ring.Check(p, t); err != nil {
		return nil, err
	}
	secret, err := s.ring.Make(ctx, t, time.Duration(b.Life*float64(time.Second)))
	if err != nil {
		return nil, err
	}
	return &newTokenAnswer{"no-store", api.NewToken{Secret: secret, Token: token(t)}}, nil
}

// token returns the document of a token.
func token(t *auth.Token) api.Token {
	out := api.Token{
		ID: t.ID, Kind: t.Kind, Name: t.Name, Owner: t.Owner, Source: t.Source, Lease: t.Lease, Parent: t.Parent,
		Created: t.Created, From: t.From,
	}
	if t.Bound {
		out.Project = &t.Project
	}
	if t.Role != auth.Nobody {
		out.Role = t.Role.String()
	}
	if t.Only != 0 {
		out.Permissions = strings.Split(t.Only.String(), ",")
	}
	if !t.Expires.IsZero() {
		out.Expires = &t.Expires
	}
	if !t.Used.IsZero() {
		out.Used = &t.Used
	}
	return out
}

func (s *tokens) listTokens(ctx context.Context, _ *struct{}) (*tokenList, error) {
	p := request.Caller(ctx)
	all, err := s.ring.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &tokenList{}
	out.Body.Tokens = []api.Token{}
	for _, t := range all {
		if access.ManagesToken(p, t) {
			out.Body.Tokens = append(out.Body.Tokens, token(t))
		}
	}
	return out, nil
}

func (s *tokens) revokeToken(ctx context.Context, in *struct {
	ID string `path:"id" doc:"the token's id, which is not the token"`
}) (*struct{}, error) {
	p := request.Caller(ctx)
	_, err := s.ring.Revoke(ctx, in.ID, func(t *auth.Token) error {
		if !access.ManagesToken(p, t) {
			return &compute.Error{ID: compute.ID(in.ID), Kind: compute.ErrNotFound, Err: errors.New("no such token")}
		}
		return nil
	})
	return nil, err
}

func (s *tokens) createLeaseToken(ctx context.Context, in *struct {
	Lease string                 `path:"lease" doc:"its id or name, or its instance's name"`
	Body  *api.LeaseTokenRequest `required:"false"`
}) (*newTokenAnswer, error) {
	w, err := access.Who(ctx, false, "", auth.Use)
	if err != nil {
		return nil, err
	}
	l, err := s.engine().Use(ctx, w, compute.ID(in.Lease))
	if err != nil {
		return nil, s.rules.Acted(ctx, w, err, compute.ID(in.Lease))
	}
	secret, t, err := s.leaseToken(ctx, l, in.Body != nil && in.Body.Extend)
	if err != nil {
		return nil, err
	}
	return &newTokenAnswer{"no-store", api.NewToken{Secret: secret, Token: token(t)}}, nil
}

// leaseToken makes a token for one lease of the caller.
func (s *tokens) leaseToken(ctx context.Context, l compute.Lease, extend bool) (secret string, t *auth.Token, err error) {
	p := request.Caller(ctx)
	if s.ring == nil {
		return "", nil, &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("this controller keeps no tokens")}
	}
	if p.Lease != "" {
		return "", nil, access.Lacks(p, auth.Tokens)
	}
	if err := s.rules.MayEnter(ctx, l); err != nil { // a token must not allow more than its maker may
		return "", nil, err
	}
	t = &auth.Token{Kind: auth.TokenLease, Name: l.Purpose, Owner: l.Owner, Parent: p.Token, Bound: true,
		Project: l.Project, Role: auth.User, Lease: l.ID,
		Only: auth.LeasePermissions(extend)}
	if t.Owner == p.Name {
		t.Groups = p.Groups
	}
	if p.Only != 0 {
		t.Only &= p.Only
	}
	secret, err = s.ring.Make(ctx, t, 0)
	return secret, t, err
}
