package proxycmd

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/slapos/cfg"
)

// defaultStore returns where a master keeps its data by default.
func defaultStore() (string, error) {
	dir, err := host.StateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "slapos.db"), nil
}

// storeAddress is where a master keeps what it knows: where it was said, else where its file says,
// else defaultStore.
func storeAddress(f *cfg.File, said string) (string, error) {
	if said != "" {
		return said, nil
	}
	named, err := f.First("database_uri", "slapproxy", "slapos")
	if err != nil {
		return "", fault.Invalid("", "%w", err)
	}
	if named != "" {
		return named, nil
	}
	return defaultStore()
}

// inFile says whether an address is the name of a file.
func inFile(address string) bool {
	return !config.IsReference(address) && !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://")
}

// shownStore returns an address without its secrets, to show to the user.
func shownStore(address string) string {
	if inFile(address) {
		return address
	}
	return host.ShownAddress(address)
}

// isFile reports whether a file is the store of an address.
func isFile(path, address string) bool {
	if !inFile(address) {
		return false
	}
	one, err := os.Stat(path)
	if err != nil {
		return false
	}
	other, err := os.Stat(address)
	return err == nil && os.SameFile(one, other)
}

// databaseFlag declares the option that names where a master keeps what it knows.
func databaseFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVarP(
		to, "database-uri", "u", "",
		"the master keeps everything in `FILE`; or in the PostgreSQL database of that address, or reference to it",
	)
	_ = cmd.MarkFlagFilename("database-uri")
}
