package servercmd

import (
	"errors"
	"fmt"
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

func NewToken(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the controller's tokens",
		Long: `A token lets a program in, by HTTP and in $HOSTLER_TOKEN, as the user who made it, as far as the token goes: for one project, with a lower role, with some
permissions or for one source alone. It is shown once, and the controller keeps no more than its hash.`,
		Example: "  hostler token create --name ci --project web --role user --life 30d --output ci.token\n  hostler token list\n  hostler token revoke ID",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreate(a), newTokenList(a), newTokenRevoke(a))
	return cmd
}

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

func newTokenList(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tokens that are good: yours, those of projects where you are an operator, and all as an administrator",
		Example: "  hostler token list\n  hostler token list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.TheController(cmd.Context(), "a token")
			if err != nil {
				return err
			}
			all, err := c.Tokens().List(cmd.Context())
			if err != nil {
				return err
			}
			if a.JSON {
				return a.PrintJSON(append([]api.Token{}, all...))
			}
			var rows [][]string
			for _, t := range all {
				rows = append(rows, []string{t.ID, t.Kind, t.Owner, tokenReach(t), untilWhen(t.Expires), lastUse(t), term.Line(t.Name)})
			}
			return a.Table([]string{"token", "kind", "owner", "for", "expires", "used", "name"}, rows)
		},
	}
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

func untilWhen(t *time.Time) string {
	if t == nil {
		return "with its lease"
	}
	return t.Local().Format(time.DateTime)
}

func lastUse(t api.Token) string {
	if t.Used == nil {
		return "never"
	}
	text := t.Used.Local().Format("2006-01-02 15:04")
	if t.From != "" {
		text += " from " + t.From
	}
	return text
}

func newTokenRevoke(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID...",
		Short:   "Revoke tokens at once, with those that were made with them",
		Long:    "Revoke tokens at once. What is open by them ends within a few seconds. `hostler token list` has the IDs; they are not the tokens.",
		Example: "  hostler token revoke k3j5x7q2m4ab",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.TheController(cmd.Context(), "a token")
			if err != nil {
				return err
			}
			for _, id := range args {
				if strings.HasPrefix(id, auth.Prefix) {
					return fault.Invalid("hostler token list has the IDs", "that is a token, and not its ID")
				}
				if err := c.Tokens().Revoke(cmd.Context(), id); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
			if a.Begin(cmd) != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			c, err := a.TheController(cmd.Context(), "a token")
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			all, err := c.Tokens().List(cmd.Context())
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, t := range all {
				out = append(out, cobra.CompletionWithDesc(t.ID, t.Name))
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
