package cloudcmd

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

// cloudServersOptions are what `cloud servers` can be told.
type cloudServersOptions struct {
	cloudOptions
	confirm, all, dry bool
	id, destroy       string
	timeout           bareFlag
}

func newCloudServers(a *cli.App) *cobra.Command {
	var o cloudServersOptions
	cmd := &cobra.Command{
		Use:   "servers",
		Short: "List the servers that this installation has in a cloud, and destroy those that are dead",
		Long: `List the servers that this installation made in the project, or the account's region, of all sources and deployments, or with --resource-name of one. The problem is why a server is
suspected to be dead.

With --confirm-dead those of them are destroyed that --id names or, with --all, all that have a problem. --destroy destroys one server, whatever its state. Their ports, volumes and
floating IPs go with them; the engine finds that its instance is gone, and makes another where one is wanted. Servers of others are never touched.`,
		Example: "  hostler cloud servers\n  hostler cloud servers --confirm-dead --all\n  hostler cloud servers --destroy web-7",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cloudServers(a, cmd.Context(), &o) },
	}
	o.flags(a, cmd, true)
	f := cmd.Flags()
	f.BoolVarP(&o.confirm, "confirm-dead", "d", false, "destroy servers that have a problem: with --id or --all")
	f.Bool("confirmdead", false, "as --confirm-dead")
	_ = f.MarkHidden("confirmdead")
	f.StringVarP(&o.id, "id", "i", "", "the server with this `ID`, name or address")
	f.BoolVarP(&o.all, "all", "a", false, "all that have a problem")
	f.StringVar(&o.destroy, "destroy", "", "destroy the server of this host `NAME`, id or address")
	f.BoolVarP(&o.dry, "dry-run", "n", false, "only say what would be destroyed")
	o.timeout = bareFlag{term.DurationFlag{Value: 2 * time.Minute, Given: true}, time.Second}
	f.Var(&o.timeout, "timeout", "how long to wait until they are gone; a number alone is seconds")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		old, _ := cmd.Flags().GetBool("confirmdead")
		o.confirm = o.confirm || old
	}
	return cmd
}

// cloudServers lists the servers of this installation, or destroys the chosen ones and lists
// them.
func cloudServers(a *cli.App, ctx context.Context, o *cloudServersOptions) error {
	switch {
	case o.confirm && (o.id == "") != o.all:
		return fault.Invalid("-d -i ID, or -d -a", "--confirm-dead takes --id or --all")
	case !o.confirm && (o.id != "" || o.all):
		return fault.Invalid("-d -i ID, or -d -a", "--id and --all are for --confirm-dead")
	case o.confirm && o.destroy != "":
		return fault.Invalid("", "either --confirm-dead or --destroy")
	}
	w, err := openCloud(a, ctx, &o.cloudOptions)
	if err != nil {
		return err
	}
	costs, err := cloudPrices(a)
	if err != nil {
		return err
	}
	all, err := w.cloud.List(ctx, a.Host.Store().Installation(), o.name)
	if err != nil {
		return err
	}
	go_, err := o.chosen(all)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	var errs []error
	gone := map[string]bool{}
	for _, s := range go_ {
		opt := w.options(nil)
		opt.Name, opt.DryRun, opt.ServersPatience = s.Deployment, o.dry, o.timeout.Value
		if err := w.cloud.Destroy(ctx, opt, s); err != nil {
			errs = append(errs, err)
			continue
		}
		gone[s.ID] = !o.dry
	}
	if o.confirm || o.destroy != "" {
		all = go_
	}
	if err := w.printServers(all, gone, costs); err != nil {
		return err
	}
	return a.Interrupted(errors.Join(errs...), "the rest of them is as it was")
}
