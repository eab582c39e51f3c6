package usercmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/parameter"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// noPlace is the error of a request that the master turned down.
func noPlace(s *session.Session, err error) error {
	var e *client.Error
	if errors.As(err, &e) && e.Reason != "" {
		return &compute.Error{
			Kind: compute.ErrNoCapacity, Err: fmt.Errorf("the master turned it down: %s", e.Reason),
			Hint: "hostler slapos computer list shows what computers there are; --node says which one it may be",
		}
	}
	return err
}

// prepare puts parameters into a request, and looks whether the software wants them so.
func prepare(ctx context.Context, s *session.Session, q *proto.Request, o *requestOptions) (err error) {
	if q.Parameters, err = parameter.Pairs(o.pairs); err != nil {
		return fault.Invalid("", "--parameters: %w", err)
	}
	// a state alone changes no parameters
	about := len(o.pairs) > 0 || o.file != "" || o.state == ""
	check := about && o.state != proto.Destroyed && !o.uncheckable
	l := &parameter.Loader{}
	var release *parameter.Release
	if check {
		s.Log.Say("Validating request parameters for %s as an instance of %s ...", q.Title, q.Release)
	}
	if check || o.file != "" && o.form == "" {
		release, err = l.Release(ctx, q.Release)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.Log.Note("no schema is beside %s", q.Release)
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			s.Log.Warn("The parameters are not validated: %s", term.ErrorText(err))
		}
	}
	if o.file != "" {
		form := o.form
		if form == "" && release != nil {
			form = release.Form(q.Type, q.Shared)
		}
		if q.Parameters, err = parameter.File(o.file, cmp.Or(form, parameter.JSON)); err != nil {
			return fault.Invalid("", "--parameters-file: %w", err)
		}
	}
	if release == nil || !check {
		return nil
	}
	kind, ok := release.Type(q.Type, q.Shared)
	if !ok {
		if len(release.Types) == 0 {
			s.Log.Note("%s has no types", release.URL)
			return nil
		}
		s.Log.Warn(
			"The parameters are not validated: %s has no %stype %q; it has %s", release.URL,
			map[bool]string{true: "shared "}[q.Shared], cmp.Or(q.Type, "default"), variants(release),
		)
		return nil
	}
	if o.form != "" {
		kind.Form = o.form
	}
	faults, err := l.Check(ctx, kind, q.Parameters)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		s.Log.Warn("The parameters are not validated: %s", term.ErrorText(err))
		return nil
	case len(faults) == 0:
		return nil
	}
	var all []error
	for _, f := range faults {
		all = append(all, fault.Invalid("", "parameters: %s", f))
	}
	all = append(
		all,
		fault.Invalid(
			"--no-validate sends them all the same", "nothing was requested: the parameters are not as %s wants them",
			kind.Request,
		),
	)
	s.Log.Fail(errors.Join(all...))
	return term.Exit(1) // 2 would say that it is not ready yet
}

// variants are the types that a release says it has.
func variants(r *parameter.Release) string {
	names := make([]string, len(r.Types))
	for i, t := range r.Types {
		if names[i] = t.Name; t.Shared {
			names[i] += " (shared)"
		}
	}
	return strings.Join(names, ", ")
}
