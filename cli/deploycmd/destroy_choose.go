package deploycmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// chooseNodes finds the named nodes. It refuses ambiguous names and protected nodes.
func chooseNodes(all []deploy.Existing, names []string, o *destroyOptions, free []string) ([]deploy.Existing, error) {
	var out []deploy.Existing
	var errs []error
	for _, name := range names {
		var found []deploy.Existing
		for _, n := range all {
			if n.Lease.Name == name || string(n.Lease.Instance) == name || n.Lease.ID == name {
				found = append(found, n)
			}
		}
		if i := slices.IndexFunc(found, func(n deploy.Existing) bool { return n.Lease.ID == name }); i >= 0 {
			found = found[i : i+1]
		}
		switch {
		case len(found) == 0:
			var known []string
			for _, n := range all {
				known = append(known, n.Name())
			}
			errs = append(
				errs,
				&compute.Error{
					ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no node of this name"),
					Hint: cmp.Or(term.DidYouMean(name, known, ""), "hostler list"),
				},
			)
			continue
		case len(found) > 1 && !o.all && !o.old:
			var ids []string
			for _, n := range found {
				ids = append(ids, fmt.Sprintf("%s (%s)", n.Lease.ID, n.Lease.Instance))
			}
			errs = append(errs, fault.Conflict("say the id, or --all: "+strings.Join(ids, ", "), "%s: %d are called so", name, len(found)))
			continue
		}
		for _, n := range found {
			if !n.Made() && !deploy.Destroyable(n.Name(), free) && !o.force {
				errs = append(
					errs,
					fault.Denied(
						"--force destroys it all the same",
						"%s: deploy did not make it, and its name begins with none of %s", name,
						strings.Join(free, ", "),
					),
				)
				continue
			}
			if !slices.ContainsFunc(out, func(b deploy.Existing) bool { return b.Lease.ID == n.Lease.ID }) {
				out = append(out, n)
			}
		}
	}
	return out, errors.Join(errs...)
}

// passed checks the gate.
func passed(a *cli.App, ctx context.Context, o *destroyOptions) error {
	if err := o.gate.Check(); err != nil {
		return err
	}
	if o.command == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", o.command)
	// standard output is for what destroy says
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, a.Err, a.Err
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return fault.Conflict("", "%w: --if ended with %s", deploy.ErrTests, exit.ProcessState)
	case err != nil:
		return fault.Invalid("", "--if: %v", err)
	}
	return nil
}
