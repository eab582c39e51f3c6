package proxycmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
)

// New makes the commands of a master of one's own.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "proxy",
		Short:   "Be a master for SlapOS",
		Example: "  hostler slapos proxy start --cfg slapos.cfg",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
	}
	cmd.AddCommand(newStart(s), newShow(s), newImport(s), newCertificate(s))
	return cmd
}
