package usercmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// revokedView is `slapos user revoke --json`.
type revokedView struct {
	User string `json:"user"`
}

func NewUser(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "user",
		Short:   "Have a user's certificates count no more",
		Example: "  hostler slapos user revoke ann",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "revoke NAME",
		Short: "Have no certificate of a user count any more, and no token for one",
		Long: `Have no certificate of a user count any more, and no token for one: that of a key that was lost, say, or of somebody who has left. An administrator does that for everybody, a user for himself. It
holds from the next request on, at all masters of the store.

Only masters of hostler do it. Beside the master's database hostler slapos proxy certificate user NAME --revoke does, without a certificate.`,
		Example:           "  hostler slapos user revoke ann",
		Args:              cobra.ExactArgs(1),
		RunE:              s.RunE(func(ctx context.Context, args []string) error { return userRevoke(ctx, s, args[0]) }),
		ValidArgsFunction: cobra.NoFileCompletions,
	})
	return cmd
}

// userRevoke revokes all certificates of a user.
func userRevoke(ctx context.Context, s *session.Session, name string) error {
	master, err := s.Master()
	if err != nil {
		return err
	}
	err = master.RevokeUser(ctx, name)
	if errors.Is(err, client.ErrNotFound) {
		return &compute.Error{
			Kind: compute.ErrFailed, Err: errors.New("this master revokes no certificates of users"),
			Hint: "is it one of hostler, with certificates? A master without them does not identify its clients",
		}
	} else if err != nil {
		return err
	}
	s.Log.Say("No certificate of the user %s counts any more", name)
	if s.App.JSON {
		return s.App.PrintJSON(revokedView{name})
	}
	return nil
}
