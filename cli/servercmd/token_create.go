package servercmd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

func newTokenCreate(a *cli.App) *cobra.Command {
	var req api.TokenRequest
	var life term.DurationFlag
	var output string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token, and print it: the only time that it can be seen",
		Example: "  hostler token create --name 'metrics of prometheus' --permission meter\n  hostler token create --name ci --project web --output ~/ci.token\n" +
			"  HOSTLER_TOKEN_FILE=~/ci.token hostler --controller https://hostler.example.org:7070 status",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.Life, req.Project = life.Value.Seconds(), a.Project()
			if life.Given && life.Value <= 0 {
				return fault.Invalid("", "--life %v: a token ends some time", life.Value)
			}
			if _, err := auth.ParseRole(req.Role); req.Role != "" && err != nil {
				return fault.Invalid("", "--role %w", err)
			}
			if _, err := auth.ParsePermissions(req.Permissions...); err != nil {
				return fault.Invalid("", "--permission %w", err)
			}
			// it may be a token that is in use
			if _, err := os.Lstat(output); output != "" && err == nil {
				return fault.Conflict("name another file, or remove it first", "--output %s: there is a file of this name", output)
			}
			c, err := a.TheController(cmd.Context(), "a token")
			if err != nil {
				return err
			}
			t, err := c.Tokens().Create(cmd.Context(), req)
			if err != nil {
				return err
			}
			if err := leasecmd.TellSecret(t.Secret, output); err != nil {
				return errors.Join(err, c.Tokens().Revoke(cmd.Context(), t.ID))
			}
			if a.JSON {
				if output != "" {
					t.Secret = ""
				}
				return a.PrintJSON(t)
			}
			if output == "" {
				err = term.Printf(a.Out, "%s\n", t.Secret)
			}
			if t.Expires != nil && !a.Quiet {
				err = errors.Join(
					err,
					term.Printf(a.Err, "token %s of %s, until %s\n", t.ID, t.Owner, t.Expires.Local().Format(time.DateTime)),
				)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Name, "name", "", "say what it is for, in `WORDS`")
	f.StringVar(&req.Owner, "owner", "", "make it `USER`'s, as an administrator")
	f.StringVar(&req.Role, "role", "", "at most this `ROLE`: viewer, user, operator or admin; what the owner is unless it is said")
	f.StringSliceVar(
		&req.Permissions, "permission", nil,
		"at most this `PERMISSION`, such as see, take or meter; may be repeated; all of the role unless it is said",
	)
	f.StringVarP(&req.Source, "source", "s", "", "for the source `NAME` alone")
	f.Var(&life, "life", "until so long from now: 30d, 12h; 90 days unless the controller says otherwise")
	f.StringVarP(&output, "output", "o", "", "write it to `FILE`, for its owner alone, and do not print it")
	_ = cmd.MarkFlagFilename("output")
	_ = cmd.RegisterFlagCompletionFunc("source", a.CompleteSources)
	roles := cobra.FixedCompletions([]string{"viewer", "user", "operator", "admin"}, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("role", roles)
	_ = cmd.RegisterFlagCompletionFunc(
		"permission",
		cobra.FixedCompletions(strings.Split(auth.AllPermissions().String(), ","), cobra.ShellCompDirectiveNoFileComp),
	)
	return cmd
}

// tokenReach describes what a token may do.
func tokenReach(t api.Token) string {
	var out []string
	if t.Project != nil {
		out = append(out, fmt.Sprintf("project %q", *t.Project))
	}
	for what, text := range map[string]string{"source ": t.Source, "lease ": t.Lease} {
		if text != "" {
			out = append(out, what+text)
		}
	}
	if t.Role != "" {
		out = append(out, t.Role)
	}
	if len(t.Permissions) > 0 {
		out = append(out, strings.Join(t.Permissions, ","))
	}
	if len(out) == 0 {
		return "all that the owner may"
	}
	return strings.Join(out, "; ")
}
