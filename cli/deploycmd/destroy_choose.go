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
func chooseNodes(all []node, names []string, o *destroyOptions, free []string) ([]node, error) {
	var out []node
	var errs []error
	for _, name := range names {
		var found []node
		for _, n := range all {
			if n.lease.Name == name || string(n.lease.Instance) == name || n.lease.ID == name {
				found = append(found, n)
			}
		}
		if i := slices.IndexFunc(found, func(n node) bool { return n.lease.ID == name }); i >= 0 {
			found = found[i : i+1]
		}
		switch {
		case len(found) == 0:
			var known []string
			for _, n := range all {
				known = append(known, n.name())
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
				ids = append(ids, fmt.Sprintf("%s (%s)", n.lease.ID, n.lease.Instance))
			}
			errs = append(errs, fault.Conflict("say the id, or --all: "+strings.Join(ids, ", "), "%s: %d are called so", name, len(found)))
			continue
		}
		for _, n := range found {
			if !n.isNode() && !deploy.Destroyable(n.name(), free) && !o.force {
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
			if !slices.ContainsFunc(out, func(b node) bool { return b.lease.ID == n.lease.ID }) {
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
