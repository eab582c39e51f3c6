package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
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

// applied adds the routes of applied things, if there is anything that applies them.
func (s *server) applied() {
	if s.Options.Applied == nil {
		return
	}
	const much = "The files of all hold 32 MiB at most, those of one 16. What is applied from elsewhere than the controller's own machine runs nothing there: docs/apply.md says what is refused."
	register(s, huma.Operation{
		OperationID: "list-applied", Extensions: needs(auth.Manage), Method: http.MethodGet, Path: "/v1/applied",
		Summary: "What was applied: sources, bundles and projects, without their files",
		Tags:    []string{"applied"}, Errors: []int{400, 403},
	}, s.listApplied)
	register(s, huma.Operation{
		OperationID: "apply", Extensions: needs(auth.Manage), Method: http.MethodPut, Path: "/v1/applied", MaxBodyBytes: maxSet,
		Summary:     "Bring what is applied to what a set says, all of it or nothing",
		Description: "The same set again changes nothing. What stands in a file of the controller is refused, and so is a set that would break something. " + much,
		Tags:        []string{"applied"}, Errors: []int{400, 403, 409, 422},
	}, s.apply)
	register(s, huma.Operation{
		OperationID: "get-applied", Extensions: needs(auth.Manage), Method: http.MethodGet,
		Path: "/v1/applied/{kind}/{name}", Summary: "A thing that was applied, with its files",
		Tags: []string{"applied"}, Errors: []int{403, 404},
	}, func(ctx context.Context, in *thingPath) (*thingAnswer, error) {
		t, err := s.Options.Applied.AppliedThing(ctx, in.Kind, in.Name)
		return answerThing(t), s.fault(ctx, err)
	})
	register(s, huma.Operation{
		OperationID: "put-applied", Extensions: needs(auth.Manage), Method: http.MethodPut,
		Path: "/v1/applied/{kind}/{name}", MaxBodyBytes: maxSet, Summary: "Bring one thing to what is wanted",
		Description: "The same again changes nothing. With If-Match it is a conflict unless the thing is at that revision; with If-None-Match: * unless it is not there. " + much,
		Tags:        []string{"applied"}, Errors: []int{400, 403, 409, 422},
	}, s.putApplied)
	register(s, huma.Operation{
		OperationID: "delete-applied", Extensions: needs(auth.Manage), Method: http.MethodDelete,
		Path: "/v1/applied/{kind}/{name}", DefaultStatus: http.StatusNoContent,
		Summary:     "Take away a thing that was applied",
		Description: "Living leases of a source go on until they end, as when its file is taken away.",
		Tags:        []string{"applied"}, Errors: []int{400, 403, 404, 409},
	}, func(ctx context.Context, in *struct {
		Kind  string `path:"kind" enum:"source,bundle,project"`
		Name  string `path:"name" maxLength:"63"`
		Match string `header:"If-Match" doc:"the revision in quotes; it is a conflict if the thing is at another"`
	}) (*struct{}, error) {
		about(ctx, "", in.Kind+"/"+in.Name)
		revision, err := matches(in.Match)
		if err == nil {
			err = s.Options.Applied.DeleteApplied(ctx, asker(ctx), in.Kind, in.Name, revision)
		}
		return nil, s.fault(ctx, err)
	})
}

func (s *server) listApplied(ctx context.Context, in *struct {
	Labels []string `query:"label" doc:"KEY=VALUE: only what has this label; several: all of them" example:"app=ci"`
}) (*struct{ Body api.AppliedSet }, error) {
	labels := map[string]string{}
	for _, l := range in.Labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return nil, s.fault(ctx, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("label %q is not KEY=VALUE", l)})
		}
		labels[key] = value
	}
	set, err := s.Options.Applied.Applied(ctx, labels)
	return &struct{ Body api.AppliedSet }{set}, s.fault(ctx, err)
}

func (s *server) apply(ctx context.Context, in *struct{ Body api.ApplySet }) (*struct{ Body api.ApplyAnswer }, error) {
	about(ctx, "", thingNames(in.Body.Things)...)
	out, err := s.Options.Applied.Apply(ctx, asker(ctx), in.Body)
	if err != nil {
		return nil, s.fault(ctx, err)
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
	about(ctx, "", changed...)
	return &struct{ Body api.ApplyAnswer }{out}, nil
}

// thingNames returns KIND/NAME of each thing, for the audit log.
func thingNames(things []api.WantedThing) (out []string) {
	for _, t := range things {
		out = append(out, t.Kind+"/"+t.Name)
	}
	return out
}

func (s *server) putApplied(ctx context.Context, in *struct {
	Kind  string `path:"kind" enum:"source,bundle,project"`
	Name  string `path:"name" maxLength:"63"`
	Match string `header:"If-Match" doc:"the revision in quotes; it is a conflict if the thing is at another"`
	None  string `header:"If-None-Match" doc:"*: it is a conflict if the thing is there"`
	Body  api.PutThing
}) (*thingAnswer, error) {
	about(ctx, "", in.Kind+"/"+in.Name)
	revision, err := matches(in.Match)
	if err == nil && in.None != "" && (in.None != "*" || in.Match != "") {
		err = &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("If-None-Match takes * alone, and not beside If-Match")}
	}
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	t, err := s.Options.Applied.PutApplied(ctx, asker(ctx), in.Kind, in.Name, in.Body, revision, in.None == "*")
	return answerThing(t), s.fault(ctx, err)
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
