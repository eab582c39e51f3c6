package runcmd

import (
	"os"

	"github.com/hostler-project/hostler/compute/fault"
)

// maxScript is the largest file for --script.
const maxScript = 16 << 20

// readScript reads the file of --script.
func readScript(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, fault.Invalid("", "--script: %v", err)
	case !info.Mode().IsRegular():
		return nil, fault.Invalid("", "--script %s: is not a regular file", file)
	case info.Size() > maxScript:
		return nil, fault.Invalid("hostler cp copies files", "--script %s: is larger than %d MiB", file, maxScript>>20)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Invalid("", "--script: %v", err)
	}
	return data, nil
}
