package servercmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client/logins"
	"github.com/hostler-project/hostler/compute"
)

func NewLogout(a *cli.App) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "logout [URL]",
		Short:   "Sign out from a controller",
		Long:    "Sign out from the controller at URL, or from the one that commands ask now: what was kept of it is removed, and what signing in has made is good for nothing any more.",
		Example: "  hostler logout\n  hostler logout --all",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return logout(a, cmd.Context(), cli.First(args), all)
		},
		ValidArgsFunction: completeLogins,
	}
	cmd.Flags().BoolVar(&all, "all", false, "from all")
	return cmd
}

// logout signs out.
func logout(a *cli.App, ctx context.Context, typed string, every bool) error {
	all, err := cli.ReadLogins()
	if err != nil {
		return err
	}
	some := all.Addresses()
	if !every {
		address, err := which(a, typed, all)
		if err != nil {
			return err
		}
		if _, ok := all.Controllers[address]; !ok {
			return &compute.Error{
				Kind: compute.ErrNotFound, Err: fmt.Errorf("%s: you are not signed in there", address),
				Hint: term.DidYouMean(address, some, ""),
			}
		}
		some = []string{address}
	}
	for _, address := range some {
		if err := cli.ChangeLogins(func(l *logins.All) {
			delete(l.Controllers, address)
			if l.Current == address {
				l.Current = ""
			}
		}); err != nil {
			return err
		}
		t := logins.Target{Where: address, Login: all.Controllers[address]}
		if t.Token == "" {
			continue
		}
		revoked, err := signOut(a, ctx, &t)
		switch {
		case err != nil:
			err = term.Printf(
				a.Err, "hostler: %s: what was kept here is removed; there it may go on to be good until it ends: %s\n",
				address, term.ErrorText(err),
			)
		case !revoked && !a.Quiet:
			err = term.Printf(
				a.Err,
				"hostler: %s: the token is removed here, and is good until it ends or is revoked there: hostler token revoke\n",
				address,
			)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
