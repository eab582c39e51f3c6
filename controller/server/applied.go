package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/request"
)

// Applied lists and changes the sources, bundles and projects that were applied.
type Applied interface {
	// Applied lists the things that have all of the labels, without their files.
	Applied(ctx context.Context, labels map[string]string) (api.AppliedSet, error)
	AppliedThing(ctx context.Context, kind, name string) (api.AppliedThing, error)
	Apply(ctx context.Context, who auth.Principal, set api.ApplySet) (api.ApplyAnswer, error)
	// PutApplied changes one thing. revision: only if it is at that revision; 0: any. none: only if
	// it does not exist.
	PutApplied(
		ctx context.Context, who auth.Principal, kind, name string, put api.PutThing, revision int64, none bool,
	) (api.AppliedThing, error)
	DeleteApplied(ctx context.Context, who auth.Principal, kind, name string, revision int64) error
}

// maxSet is the largest body of a set. It is more than its files may have, as base64 makes four
// bytes of three, and JSON up to six of one.
const maxSet = 64 << 20

// thingPath names a thing.
type thingPath struct {
	Kind string `path:"kind" enum:"source,bundle,project"`
	Name string `path:"name" maxLength:"63"`
}

type thingAnswer struct {
	ETag string `header:"ETag" doc:"the revision at which it was last changed, in quotes"`
	Body api.AppliedThing
}

func answerThing(t api.AppliedThing) *thingAnswer {
	return &thingAnswer{strconv.Quote(strconv.FormatInt(t.Revision, 10)), t}
}

// things serves what was applied.
type things struct {
	applied Applied // nil: there are no such paths
}

func (s *things) listApplied(ctx context.Context, in *struct {
	Labels []string `query:"label" doc:"KEY=VALUE: only what has this label; several: all of them" example:"app=ci"`
}) (*struct{ Body api.AppliedSet }, error) {
	labels := map[string]string{}
	for _, l := range in.Labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("label %q is not KEY=VALUE", l)}
		}
		labels[key] = value
	}
	set, err := s.applied.Applied(ctx, labels)
	return &struct{ Body api.AppliedSet }{set}, err
}

func (s *things) apply(ctx context.Context, in *struct{ Body api.ApplySet }) (*struct{ Body api.ApplyAnswer }, error) {
	request.About(ctx, "", thingNames(in.Body.Things)...)
	out, err := s.applied.Apply(ctx, request.Caller(ctx), in.Body)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, c := range out.Changes {
		if c.Action != "unchanged" {
			changed = append(changed, c.Action+" "+c.Kind+"/"+c.Name)
		}
	}
	if in.Body.DryRun {
		changed = append([]string{"dry run"}, changed...)
	}
	request.About(ctx, "", changed...)
	return &struct{ Body api.ApplyAnswer }{out}, nil
}

// thingNames returns KIND/NAME of each thing, for the audit log.
func thingNames(things []api.WantedThing) (out []string) {
	for _, t := range things {
		out = append(out, t.Kind+"/"+t.Name)
	}
	return out
}

func (s *things) putApplied(ctx context.Context, in *struct {
	Kind  string `path:"kind" enum:"source,bundle,project"`
	Name  string `path:"name" maxLength:"63"`
	Match string `header:"If-Match" doc:"the revision in quotes; it is a conflict if the thing is at another"`
	None  string `header:"If-None-Match" doc:"*: it is a conflict if the thing is there"`
	Body  api.PutThing
}) (*thingAnswer, error) {
	request.About(ctx, "", in.Kind+"/"+in.Name)
	revision, err := matches(in.Match)
	if err == nil && in.None != "" && (in.None != "*" || in.Match != "") {
		err = &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("If-None-Match takes * alone, and not beside If-Match")}
	}
	if err != nil {
		return nil, err
	}
	t, err := s.applied.PutApplied(ctx, request.Caller(ctx), in.Kind, in.Name, in.Body, revision, in.None == "*")
	return answerThing(t), err
}

// matches reads the revision in If-Match; 0: any.
func matches(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	bare, err := strconv.Unquote(text)
	n, wrong := strconv.ParseInt(bare, 10, 64)
	if err != nil || wrong != nil || n <= 0 {
		return 0, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("If-Match %s is no ETag of a thing that was applied", text),
			Hint: "it is a number in quotes",
		}
	}
	return n, nil
}
