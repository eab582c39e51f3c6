package imagecmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

func newBundleRender(a *cli.App) *cobra.Command {
	var vars, facts []string
	var boot, secrets bool
	cmd := &cobra.Command{
		Use:   "render BUNDLE/SCRIPT|BUNDLE",
		Short: "Print a script as it would be run, its variables in place",
		Long: `Print a script of a bundle as it would be run, or a file that is a template as it would be written: BUNDLE/SCRIPT, BUNDLE/PATH; of a BUNDLE alone, all of them.
What is wrong in it is said with its line. Secrets are shown as ***.

With --user-data, print the bundle as user data for cloud-init: a computer that boots with it is set up by it. It is for one computer alone.`,
		Example: "  hostler bundle render web/nginx.sh -t port=8080 --fact address=10.0.0.7\n  hostler bundle render web --user-data --fact name=web-1",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.CompleteBundles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if boot {
				return bundleUserData(a, cmd.Context(), args[0], vars, facts, secrets)
			}
			if secrets {
				return fault.Invalid("", "--secrets is for --user-data; elsewhere they are not shown")
			}
			return bundleRender(a, cmd.Context(), args[0], vars, facts)
		},
	}
	cmd.Flags().StringArrayVarP(
		&vars, "var", "t", nil,
		"give a variable a value: `NAME=VALUE`; VALUE may be env:NAME, file:PATH or command:WORDS",
	)
	cmd.Flags().StringArrayVar(&facts, "fact", nil, "take this for a fact of the computer: `NAME=VALUE`")
	cmd.Flags().BoolVar(&boot, "user-data", false, "print user data for cloud-init")
	cmd.Flags().BoolVar(&secrets, "secrets", false, "let secrets into user data, where all on the computer can read them")
	return cmd
}

// The bytes of user data that clouds accept.
const (
	userDataEC2       = 16384
	userDataOpenStack = 65535
)

// renderFacts reads --fact.
func renderFacts(facts []string) (bundle.Facts, error) {
	known := bundle.Facts{"os": "linux"}
	for _, f := range facts {
		k, v, ok := strings.Cut(f, "=")
		if !ok || !slices.Contains(bundle.FactNames, k) && !strings.HasPrefix(k, "fact.") && !strings.HasPrefix(k, "tool.") {
			return nil, fault.Invalid(
				"--fact NAME=VALUE, where NAME is one of "+strings.Join(bundle.FactNames, ", "),
				"--fact %s: there is no such fact", f,
			)
		}
		known[k] = v
	}
	return known, nil
}

// bundleRender prints the scripts and templates of a bundle, or with NAME/STEP one of them, as a
// computer with these facts would have them.
func bundleRender(a *cli.App, ctx context.Context, name string, vars, facts []string) error {
	known, err := renderFacts(facts)
	if err != nil {
		return err
	}
	b, rest, one := strings.Cut(name, "/")
	p, err := planBundles(a, ctx, []string{b}, vars)
	if err != nil {
		return err
	}
	steps, err := p.Render(known)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range steps {
		if s.Kind == bundle.KindKey || s.Kind == bundle.KindFile && s.Text == "" || one && s.Bundle != b {
			continue
		}
		names = append(names, s.Name)
		if one && s.Name != rest && s.Name != "/"+rest {
			continue
		}
		if !one {
			if err := term.Printf(a.Out, "== %s\n", term.Line(s.Title())); err != nil {
				return err
			}
		}
		if err := a.WriteContent(p.Mask(s.Text)); err != nil || one {
			return err
		}
	}
	if one {
		return &compute.Error{
			Kind: compute.ErrNotFound,
			Err:  fmt.Errorf("bundle %s has no script or template %q: it has %s", b, rest, strings.Join(names, ", ")),
		}
	}
	return nil
}
