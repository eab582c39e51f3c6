package proxycmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/master/migrate"
	"github.com/hostler-project/hostler/slapos/slapproxy"
)

// importOptions has the options of an import.
type importOptions struct {
	database, computer, owner string
	migrate.ImportOptions
}

func newImport(s *session.Session) *cobra.Command {
	o := &importOptions{}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over what a slapproxy has in its database",
		Long: `Read the database of a slapproxy, of schema version 10 to 17, and put what is in it into the one that hostler slapos proxy start keeps: computers with their partitions, releases, instances
with parameters and connection parameters, shared instances, forwarded requests. All of it is taken, or nothing; what is not understood or cannot be kept is said in a line each.

FILE is only read, and as it is at one time: its slapproxy may run, but what it is told afterwards is not taken. Whoever moves for good ends it first. Where the other database knows one of the
computers already, nothing is done without --replace.`,
		Example: "  hostler slapos proxy import /srv/slapos/proxy.db --database-uri /srv/slapos/master.db\n  hostler slapos proxy import proxy.db --cfg slapos.cfg --dry-run",
		Args:    cobra.ExactArgs(1),
		RunE:    s.RunE(func(ctx context.Context, args []string) error { return runImport(ctx, s, args[0], o) }),
	}
	f := cmd.Flags()
	f.StringVarP(
		&o.database, "database-uri", "u", "",
		"put it into `FILE`; or into the PostgreSQL database of that address, or reference to it",
	)
	f.StringVar(
		&o.computer, "computer-id", "",
		"take what the database gives no computer for that of `COMPUTER`; computer_id of --cfg unless it is said",
	)
	f.StringVar(&o.owner, "owner", "", "have all of it be the user `NAME`'s, where the master knows its users")
	f.BoolVar(&o.Replace, "replace", false, "have what is known of the same computers go first")
	f.BoolVarP(&o.DryRun, "dry-run", "n", false, "look whether all of it can be taken, and change nothing")
	_ = cmd.MarkFlagFilename("database-uri")
	return cmd
}

// runImport reads a database, and puts what is in it into another one.
func runImport(ctx context.Context, s *session.Session, path string, o *importOptions) error {
	f, err := s.NodeFileIfThere()
	if err != nil {
		return err
	}
	if o.computer == "" {
		if o.computer, err = f.First("computer_id", "slapos", "slapproxy"); err != nil {
			return fault.Invalid("", "%w", err)
		}
	}
	if o.database, err = storeAddress(f, o.database); err != nil {
		return err
	}
	if isFile(path, o.database) {
		return fault.Invalid(
			"--database-uri FILE names another, which hostler makes, and hostler slapos proxy start --database-uri FILE keeps",
			"%s would be imported into itself", path,
		)
	}
	content, err := slapproxy.Read(ctx, path, slapproxy.Options{Computer: o.computer, Owner: o.owner})
	if err != nil {
		return err
	}
	view := viewImport(path, content, o)
	s.Log.Say(
		"%s is of schema version %d: computers: %d, partitions: %d, instances: %d, shared instances: %d, "+
			"releases: %d, forwarded requests: %d",
		path, view.Version, view.Computers, view.Partitions, view.Instances, view.Shared, view.Releases, view.Forwarded,
	)
	if !s.App.JSON {
		for _, note := range content.Notes {
			s.Log.Warn("%s", note)
		}
	}
	if err := importInto(ctx, s, content, o); err != nil {
		return importRefused(err, view.To)
	}
	if o.DryRun {
		s.Log.Say("All of it can be taken; %s was not changed", view.To)
	} else {
		s.Log.Say("Imported into %s", view.To)
	}
	if s.App.JSON {
		return s.App.PrintJSON(view)
	}
	return nil
}
