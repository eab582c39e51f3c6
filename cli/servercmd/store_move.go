package servercmd

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/store/postgres"
	"github.com/hostler-project/hostler/store/sqlite"
	"github.com/hostler-project/hostler/store/sqlite/migration"
)

// StoreMoveView is what `store move --json` prints.
type StoreMoveView struct {
	From    string           `json:"from"`
	To      string           `json:"to"`
	Records map[string]int64 `json:"records"`
}

// NewStore returns the command store, with what moves it.
func NewStore(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "store", Short: "Move the records of this machine into a database", Example: "  hostler store move", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "move", Short: "Move the records from the state file into the database of [store]",
		Long: `Move the records of instances, leases, tokens and what has happened from the file state.db in the state directory into the PostgreSQL database that hostler.conf names
under [store] url, whole or not at all. No hostler may run meanwhile: stop the controller and the keeper, and end what runs. The database must not have instances,
leases or tokens. From then on the file is refused; it is left where it is. A move that was cut off is finished by the same command.`,
		Example: "  hostler keeper stop\n  hostler store move", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return storeMove(a, cmd.Context()) },
	})
	return cmd
}

// storeMove moves the records of this machine into the database that the configuration names.
func storeMove(a *cli.App, ctx context.Context) error {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	address, err := host.DatabaseAddress(ctx, cfg)
	if err != nil {
		return err
	}
	if address == "" {
		return fault.Invalid(host.AddressHint, "hostler.conf names no database to move to: section [store]")
	}
	state, err := host.StateDir()
	if err != nil {
		return err
	}
	from, to := filepath.Join(state, "state.db"), "PostgreSQL"
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) { // opening it would make it
		return fault.Invalid("", "there is no state to move: %s", from)
	}
	if name, err := postgres.Name(address); err == nil {
		to += " at " + name
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	v := StoreMoveView{From: from, To: to}
	err = sqlite.Move(ctx, from, to, sqlite.Options{Migrate: migration.Up}, func(installation string, rows sqlite.Rows) (err error) {
		v.Records, err = postgres.Fill(ctx, address, installation, host.ProcessSpace(), postgres.Options{Log: a.Log}, postgres.Rows(rows))
		return err
	})
	if err != nil {
		return err
	}
	if v.Records == nil { // by a move that was cut off
		v.Records = map[string]int64{}
		a.Say("they were there already")
	}
	if a.JSON {
		return a.PrintJSON(v)
	}
	rows := [][]string{}
	for _, name := range slices.Sorted(maps.Keys(v.Records)) {
		rows = append(rows, []string{name, strconv.FormatInt(v.Records[name], 10)})
	}
	if len(rows) > 0 {
		if err := a.Table([]string{"records", "moved"}, rows); err != nil {
			return err
		}
	}
	a.Say("moved to %s; %s is not used any more", v.To, v.From)
	return nil
}
