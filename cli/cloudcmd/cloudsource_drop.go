package cloudcmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// dropWritten removes the files of writeSource that are unchanged, except those of stay. It removes
// empty directories too.
func (w *cloudWork) dropWritten(rec *deployment.Record, stay func(path string) bool) error {
	if rec == nil {
		return nil
	}
	for key, digest := range rec.Notes {
		path, ok := strings.CutPrefix(key, "file:")
		if !ok || stay(path) {
			continue
		}
		delete(rec.Notes, key)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && digestOf(data) != digest {
			_ = term.Printf(w.app.Err, "%s: %s stays: it was changed\n", w.app.Program, path)
			continue
		}
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			return &compute.Error{Kind: compute.ErrFailed, Err: err}
		}
		for dir := filepath.Dir(path); filepath.Base(dir) != "sources" && filepath.Base(dir) != "bundles" &&
			os.Remove(dir) == nil; dir = filepath.Dir(dir) {
			continue
		}
	}
	return nil
}
