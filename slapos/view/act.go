package view

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/parameter"
	"github.com/hostler-project/hostler/slapos/proto"
)

// Request asks for a tree. Without a place the answer is the stored record, with the reason.
func (v *View) Request(ctx context.Context, p auth.Principal, q api.SlapRequest) (out api.SlapInstanceDetail, err error) {
	who, err := v.who(p, true)
	if err != nil {
		return out, refusal(err)
	}
	given, err := v.parameters(ctx, who, q.Release, q.Type, q.Shared, q.Parameters, q.Unchecked)
	if err != nil {
		return out, err
	}
	filter := proto.Dictionary{}
	for name, value := range q.Filter {
		filter[name] = value
	}
	a, err := v.m.Requests.Request(
		ctx, who,
		&proto.Request{
			Release: q.Release, Type: q.Type, Title: q.Title, Shared: q.Shared, State: q.State, Parameters: given,
			Filter: filter,
		},
	)
	if errors.Is(err, compute.ErrNoCapacity) {
		if id, e := v.m.Requests.Waiting(ctx, who, q.Title, q.Shared); e == nil {
			return v.detail(ctx, who, id)
		}
	}
	if err != nil {
		return out, refusal(err)
	}
	if a.Record == nil { // another master has it, or a frontend that is none
		return api.SlapInstanceDetail{SlapInstance: api.SlapInstance{Title: q.Title, RootTitle: q.Title,
			Release: q.Release, Type: q.Type, State: proto.Started, Asked: proto.Started,
			Shared: q.Shared, Reason: "another master has it"}, Parameters: q.Parameters, Filter: q.Filter,
			Addresses: []string{}, Connection: []string{}}, nil
	}
	return v.detail(ctx, who, a.Record.ID)
}

// Change changes a tree. One that is gone with it is answered as it was at its end.
func (v *View) Change(ctx context.Context, p auth.Principal, id string, c api.SlapChange) (out api.SlapInstanceDetail, err error) {
	who, err := v.who(p, true)
	if err != nil {
		return out, refusal(err)
	}
	was, err := v.detail(ctx, who, id)
	if err != nil {
		return out, err
	}
	change := master.Change{State: c.State, Release: c.Release, Type: c.Type}
	if c.Parameters != nil {
		change.Parameters, err = v.parameters(
			ctx, who, cmp.Or(c.Release, was.Release), cmp.Or(c.Type, was.Type), was.Shared, *c.Parameters, c.Unchecked,
		)
		if err != nil {
			return out, err
		}
	}
	if c.Filter != nil {
		change.Filter = *c.Filter
	}
	_, err = v.m.Requests.Change(ctx, who, id, change)
	// without a place it is changed too, and says why
	if err != nil && !errors.Is(err, compute.ErrNoCapacity) {
		return out, refusal(err)
	}
	now, err := v.detail(ctx, who, id)
	if errors.Is(err, compute.ErrNotFound) && c.State == proto.Destroyed {
		was.State, was.Asked = proto.Destroyed, proto.Destroyed
		return was, nil
	}
	return now, err
}

// Supply wants a release on a computer, or wants it away.
func (v *View) Supply(ctx context.Context, p auth.Principal, computer string, q api.SlapSupply) error {
	who, err := v.who(p, true)
	if err != nil {
		return refusal(err)
	}
	err = v.m.Computers.Supply(ctx, who, computer, q.Release, q.State)
	if errors.Is(err, compute.ErrDenied) || errors.Is(err, compute.ErrNotFound) {
		return notFoundFor(err, "computer", computer)
	}
	return refusal(err)
}

// parameters are those that are sent, in the form in which the software wants them, if they are as
// it wants them.
func (v *View) parameters(
	ctx context.Context, who access.Who, release, variant string, shared bool, given map[string]any, unchecked bool,
) (proto.Dictionary, error) {
	if given == nil {
		given = map[string]any{}
	}
	text, err := json.Marshal(given)
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	form, variants := parameter.XML, (*parameter.Release)(nil)
	for _, value := range given {
		if _, plain := value.(string); !plain {
			// the default without a schema: texts as they always were, and other values as JSON
			form = parameter.JSON
		}
	}
	if said, err := v.release(ctx, who, release); err == nil {
		variants, form = said, said.Form(variant, shared)
	}
	out, err := parameter.Object(text, form)
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	if len(given) == 0 && form == parameter.JSON {
		out = proto.Dictionary{"_": "{}"}
	}
	if variants == nil || unchecked {
		return out, nil
	}
	t, ok := variants.Type(variant, shared)
	if !ok {
		return out, nil
	}
	faults, err := v.said.check(ctx, t, out)
	if err != nil || len(faults) == 0 {
		// an unusable schema blocks no request; a caller that asks for the schema gets the error
		return out, nil
	}
	var all []string
	for _, f := range faults {
		all = append(all, f.String())
	}
	return nil, &compute.Error{
		Kind: compute.ErrInvalid,
		Err:  errors.New("the parameters are not as the software wants them: " + strings.Join(all, "; ")),
	}
}
