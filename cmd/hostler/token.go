package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// presented is the token that we come with: $HOSTLER_TOKEN, or what is in the file that
// $HOSTLER_TOKEN_FILE names; "": none.
func presented() (string, error) {
	if t := os.Getenv("HOSTLER_TOKEN"); t != "" {
		return t, nil
	}
	file := os.Getenv("HOSTLER_TOKEN_FILE")
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fault.Invalid("", "$HOSTLER_TOKEN_FILE: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// project is the project that was named; nil: none was.
func (a *app) project() *string {
	if name := cmp.Or(a.flags.project, os.Getenv("HOSTLER_PROJECT")); name != "" {
		return &name
	}
	return nil
}

// reason is why the command is given, on one line.
func (a *app) reason() string {
	return strings.Join(strings.Fields(cmp.Or(a.flags.reason, os.Getenv("HOSTLER_REASON"))), " ")
}

func (a *app) completeProjects(cmd *cobra.Command, _ []string, _ string) (out candidates, _ cobra.ShellCompDirective) {
	if a.begin(cmd) == nil {
		if cfg, err := a.Host.Configuration(); err == nil {
			for _, p := range cfg.Projects {
				out = append(out, p.Name)
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// theController is the controller, for what there is nowhere else.
func (a *app) theController(ctx context.Context, what string) (*client.Client, error) {
	c, self, err := a.controller(ctx)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fault.Invalid(
			"hostler serve starts one; --controller names one elsewhere", "%s needs a controller, and none runs here",
			what,
		)
	}
	a.Host.OnClose(func() { _ = c.Close() })
	a.self = self
	return c, nil
}

func newToken(a *app) *cobra.Command {
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

func newTokenCreate(a *app) *cobra.Command {
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
			req.Life, req.Project = life.Value.Seconds(), a.project()
			if life.Given && life.Value <= 0 {
				return fault.Invalid("", "--life %v: a token ends some time", life.Value)
			}
			if _, err := auth.ParseRole(req.Role); req.Role != "" && err != nil {
				return fault.Invalid("", "--role %w", err)
			}
			if _, err := auth.ParsePermissions(req.Permissions...); err != nil {
				return fault.Invalid("", "--permission %w", err)
			}
			c, err := a.theController(cmd.Context(), "a token")
			if err != nil {
				return err
			}
			t, err := c.CreateToken(cmd.Context(), req)
			if err != nil {
				return err
			}
			if err := a.tellSecret(t.Secret, output); err != nil {
				return errors.Join(err, c.RevokeToken(cmd.Context(), t.ID))
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
	_ = cmd.RegisterFlagCompletionFunc("source", a.completeSources)
	roles := cobra.FixedCompletions([]string{"viewer", "user", "operator", "admin"}, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("role", roles)
	_ = cmd.RegisterFlagCompletionFunc(
		"permission",
		cobra.FixedCompletions(strings.Split(auth.AllPermissions().String(), ","), cobra.ShellCompDirectiveNoFileComp),
	)
	return cmd
}

// tellSecret writes a secret to a file that only its owner can read; "": to none.
func (a *app) tellSecret(secret, file string) error {
	if file == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".hostler-*") // 0600
	if err != nil {
		return fault.Invalid("", "--output: %w", err)
	}
	_, err = f.WriteString(secret + "\n")
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fault.Invalid("", "--output: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

func newTokenList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tokens that are good: yours, those of projects where you are an operator, and all as an administrator",
		Example: "  hostler token list\n  hostler token list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.theController(cmd.Context(), "a token")
			if err != nil {
				return err
			}
			all, err := c.Tokens(cmd.Context())
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

// tokenReach says how far a token goes.
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

func newTokenRevoke(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID...",
		Short:   "Revoke tokens at once, with those that were made with them",
		Long:    "Revoke tokens at once. What is open by them ends within a few seconds. `hostler token list` has the IDs; they are not the tokens.",
		Example: "  hostler token revoke k3j5x7q2m4ab",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.theController(cmd.Context(), "a token")
			if err != nil {
				return err
			}
			for _, id := range args {
				if strings.HasPrefix(id, auth.Prefix) {
					return fault.Invalid("hostler token list has the IDs", "that is a token, and not its ID")
				}
				if err := c.RevokeToken(cmd.Context(), id); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) (out candidates, _ cobra.ShellCompDirective) {
			if a.begin(cmd) != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			c, err := a.theController(cmd.Context(), "a token")
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			all, err := c.Tokens(cmd.Context())
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

// handTokens makes the own tokens of leases that were taken, and writes them to a file, or for "-"
// returns them: a line for each, with the instance's name before where there are several. Where
// that cannot be done the leases are given back.
func (a *app) handTokens(ctx context.Context, leases []compute.Lease, file string) (text string, err error) {
	defer func() {
		for _, l := range leases {
			if err != nil {
				err = errors.Join(
					err,
					a.remote.Release(ctx, compute.Who{Owner: l.Owner, Lease: l.ID}, compute.ReleaseOptions{}, l.Instance),
				)
			}
		}
	}()
	var lines []string
	for _, l := range leases {
		t, err := a.remote.LeaseToken(ctx, l.ID, false)
		if err != nil {
			return "", err
		}
		if len(leases) > 1 {
			t.Secret = string(l.Instance) + " " + t.Secret
		}
		lines = append(lines, t.Secret)
	}
	if text = strings.Join(lines, "\n"); file == "-" {
		return text, nil
	}
	return "", a.tellSecret(text, file)
}
