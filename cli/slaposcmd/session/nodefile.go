package session

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
)

// DefaultNodeFile is the place of a node's configuration.
const DefaultNodeFile = "/etc/opt/slapos/slapos.cfg"

// MasterFileHint says how to name the file of a master.
const MasterFileHint = "--cfg FILE names it; one with [slapproxy] and a computer_id is enough"

// NodeFile reads the file of a node, or of a master. The hint is for where there is none.
func (s *Session) NodeFile(hint string) (*cfg.File, error) {
	path := cmp.Or(s.File, os.Getenv("SLAPOS_CONFIGURATION"), DefaultNodeFile)
	f, err := cfg.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Invalid(hint, "there is no %s", path)
	} else if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	for _, note := range f.Unknown() {
		s.Log.Note("%s", note)
	}
	return f, nil
}

// NodeFileIfThere is NodeFile, but the default file may be missing.
func (s *Session) NodeFileIfThere() (*cfg.File, error) {
	path := cmp.Or(s.File, os.Getenv("SLAPOS_CONFIGURATION"))
	if path == "" {
		if _, err := os.Stat(DefaultNodeFile); errors.Is(err, fs.ErrNotExist) {
			return cfg.Parse(DefaultNodeFile, nil)
		}
	}
	return s.NodeFile(MasterFileHint)
}

// Group is what a command does that has others below it.
func (s *Session) Group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	s.App.Tell(cli.UnknownCommand(cmd, args[0]))
	return term.Exit(exitUnknown)
}

// NotKnown says that the master knows no such thing.
func (s *Session) NotKnown(what, name, hint string) error {
	return s.NotThere(hint, "the master knows no %s %q", what, name)
}

// NotThere says that there is none of what was asked for.
func (s *Session) NotThere(hint, format string, args ...any) error {
	s.Log.Fail(&compute.Error{Kind: compute.ErrNotFound, Err: fmt.Errorf(format, args...), Hint: hint})
	return term.Exit(ExitNotYet)
}
