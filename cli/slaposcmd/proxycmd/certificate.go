package proxycmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/authority"
	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/record"
)

// certificateOptions says which certificate to make or revoke.
type certificateOptions struct {
	database, directory string
	admin, revoke       bool
	token               bool // print a token for the certificate instead
}

func newCertificate(s *session.Session) *cobra.Command {
	o := &certificateOptions{}
	cmd := &cobra.Command{
		Use:   "certificate computer|user NAME",
		Short: "Give a node or a user a certificate of this master or a token for one, or revoke them",
		Long: `Sign a certificate by which somebody shows to the master of hostler slapos proxy start who he is: a node, which speaks for that computer alone, or a user, who has computers and instance trees of
his own; with --admin one who may do everything. NAME.crt and NAME.key are written. The master may run, and knows the certificate at once; with --revoke none of NAME's counts
any more. With --token nothing is written: a token is printed, for which hostler slapos configure client, or hostler slapos node register, gets the certificate from the running master, once and
within a day.

Whoever can read the authority's directory, ca_directory in [slapproxy], can be anybody. The file ca.crt in it is what clients know the master by: master_ca_file.`,
		Example: "  hostler slapos proxy certificate computer COMP-1 --cfg slapos.cfg\n  hostler slapos proxy certificate user ann --admin --directory ~/.slapos\n  hostler slapos proxy certificate user ann --token\n  hostler slapos proxy certificate user ann --revoke",
		Args:    cobra.ExactArgs(2),
		RunE:    s.RunE(func(ctx context.Context, args []string) error { return runCertificate(ctx, s, args[0], args[1], o) }),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (cli.Candidates, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return cli.Candidates{record.CertifiedComputer, record.CertifiedUser}, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := cmd.Flags()
	databaseFlag(cmd, &o.database)
	f.StringVar(&o.directory, "directory", ".", "write the certificate and its key into `DIR`")
	f.BoolVar(&o.admin, "admin", false, "have a user be an administrator, who may do everything")
	f.BoolVar(&o.revoke, "revoke", false, "have no certificate of NAME count any more, and make none")
	f.BoolVar(&o.token, "token", false, "print a token for which NAME gets the certificate, once and within a day")
	cmd.MarkFlagsMutuallyExclusive("token", "revoke")
	cmd.MarkFlagsMutuallyExclusive("token", "directory")
	_ = cmd.MarkFlagDirname("directory")
	return cmd
}

// runCertificate signs a certificate, prints a token for one, or revokes those of a name.
func runCertificate(ctx context.Context, s *session.Session, of, name string, o *certificateOptions) error {
	switch {
	case of != record.CertifiedComputer && of != record.CertifiedUser:
		return fault.Invalid("", "a certificate is of a computer or of a user, not of a %q", of)
	case o.admin && (of != record.CertifiedUser || o.revoke):
		return fault.Invalid("", "--admin is for a user's new certificate")
	case o.token && of == record.CertifiedComputer && !strings.HasPrefix(name, "COMP-"):
		return fault.Invalid(
			"without --token it may have any",
			"%s: a computer that is registered with a token has a name that begins with COMP-", name,
		)
	}
	f, err := s.NodeFileIfThere()
	if err != nil {
		return err
	}
	if o.database, err = storeAddress(f, o.database); err != nil {
		return err
	}
	directory, err := authorityDirectory(f)
	if err != nil {
		return fault.Invalid("", "%w", err)
	}
	view := certificateView{Of: of, Name: name, Revoked: o.revoke}
	if !o.revoke && !o.token {
		view.Certificate, view.Key = filepath.Join(o.directory, name+".crt"), filepath.Join(o.directory, name+".key")
		for _, file := range []string{view.Certificate, view.Key} {
			if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
				return fault.Conflict("move it away, or give another --directory", "%s is there already", file)
			}
		}
	}
	ca, err := authority.Open(directory)
	if err != nil {
		return err
	}
	view.Authority = ca.File
	m, end, err := openMaster(ctx, s, o.database, master.Options{Authority: ca})
	if err != nil {
		return err
	}
	defer end()
	if err := certify(ctx, s, m, &view, o); err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(view)
	}
	return nil
}
