package cli

import (
	"cmp"
	"os"
	"path/filepath"
)

// OwnCommand returns the beginning of a hostler command with this command's options, which may run
// in another directory.
func OwnCommand(a *App) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	words := []string{self}
	if c := cmp.Or(a.Flags.Controller, os.Getenv("HOSTLER_CONTROLLER")); c != "" {
		words = append(words, "--controller", c)
		ca, err := Absolute(cmp.Or(a.Flags.Ca, os.Getenv("HOSTLER_CA")))
		if err != nil {
			return nil, err
		}
		if ca != "" {
			words = append(words, "--ca", ca)
		}
	}
	if a.Flags.Embedded {
		words = append(words, "--embedded")
	}
	if a.Host.ConfigDir != "" {
		dir, err := filepath.Abs(a.Host.ConfigDir)
		if err != nil {
			return nil, err
		}
		words = append(words, "--config", dir)
	}
	return words, nil
}
