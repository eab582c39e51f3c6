package proxycmd

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master"
)

type shownAddress struct {
	Computer  string `json:"computer"`
	Partition string `json:"partition"`
	Interface string `json:"interface"`
	Address   string `json:"address"`
	Netmask   string `json:"netmask"`
}

// showOptions is what is to be shown; none of it: all.
type showOptions struct {
	database                                                  string
	computers, software, partitions, shared, params, networks bool
}

func newShow(s *session.Session) *cobra.Command {
	o := &showOptions{}
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what a master of one's own keeps",
		Long: `Show what hostler slapos proxy start keeps, as tables: all of them, or those that are asked for. The master may run. On a terminal they go through $PAGER, where that is set.
Parameters may be secrets. Connection parameters are not shown.`,
		Example: "  hostler slapos proxy show --cfg slapos.cfg\n  hostler slapos proxy show -u /srv/slapos/master.db --partitions --slaves",
		Args:    cobra.NoArgs,
		RunE:    s.RunE(func(ctx context.Context, _ []string) error { return runShow(ctx, s, o) }),
	}
	f := cmd.Flags()
	databaseFlag(cmd, &o.database)
	f.BoolVar(&o.computers, "computers", false, "show computers")
	f.BoolVar(&o.software, "software", false, "show releases that are wanted on computers, or wanted away")
	f.BoolVar(&o.partitions, "partitions", false, "show partitions, the instances in them, and such as have no place")
	f.BoolVar(&o.shared, "slaves", false, "show shared instances")
	f.BoolVar(&o.params, "params", false, "show the parameters of instances")
	f.BoolVar(&o.networks, "network", false, "show the addresses of partitions")
	return cmd
}

// runShow prints what a master keeps, as tables or as a document.
func runShow(ctx context.Context, s *session.Session, o *showOptions) error {
	f, err := s.NodeFileIfThere()
	if err != nil {
		return err
	}
	if o.database, err = storeAddress(f, o.database); err != nil {
		return err
	}
	if _, err := os.Stat(o.database); inFile(o.database) && errors.Is(err, fs.ErrNotExist) {
		return &compute.Error{
			Op: "show", ID: compute.ID(o.database), Kind: compute.ErrNotFound, Err: errors.New("there is no such file"),
			Hint: "--database-uri names that of the master",
		}
	}
	m, end, err := openMaster(ctx, s, o.database, master.Options{})
	if err != nil {
		return err
	}
	defer end()
	if !o.computers && !o.software && !o.partitions && !o.shared && !o.params && !o.networks {
		o.computers, o.software, o.partitions, o.shared, o.params, o.networks = true, true, true, true, true, true
	}
	v, err := shownOf(ctx, m, o)
	if err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	var b bytes.Buffer
	if err := v.tables(&b, o); err != nil {
		return err
	}
	return paged(ctx, s, b.Bytes())
}
