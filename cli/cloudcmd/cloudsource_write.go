package cloudcmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// writeSource records and writes the source's files. A file that it did not write, or that was
// changed since, stays and is an error.
func (w *cloudWork) writeSource(ctx context.Context, rec *deployment.Record, o *cloudDeployOptions) (string, error) {
	root, err := userConfig(w.app)
	if err != nil {
		return "", err
	}
	files, err := o.source.written(rec, o)
	if err != nil {
		return "", err
	}
	if rec.Notes == nil {
		rec.Notes = map[string]string{}
	}
	for name, data := range files {
		path := filepath.Join(root, name)
		old, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case digestOf(old) != rec.Notes[noteFile(path)] && digestOf(old) != digestOf(data):
			return "", fault.Conflict(
				"move it away, or deploy without --os to leave it as it is",
				"%s is there, and hostler cloud deploy did not write it so", path,
			)
		}
	}
	source := filepath.Join(root, "sources", rec.Name, "source.conf")
	if o.dry {
		return source, nil
	}
	rec.Notes[noteSource] = source
	for name, data := range files {
		rec.Notes[noteFile(filepath.Join(root, name))] = digestOf(data)
	}
	if err := w.records.SaveDeployment(ctx, rec); err != nil {
		return "", err
	}
	for name, data := range files {
		path := filepath.Join(root, name)
		mode := fs.FileMode(0o600)
		if strings.Contains(name, "discard.d") {
			mode = 0o700
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := renameio.WriteFile(path, data, mode); err != nil {
			return "", err
		}
	}
	written := func(path string) bool { // by the options of this deploy
		name, err := filepath.Rel(root, path)
		return err == nil && files[name] != nil
	}
	if err := w.dropWritten(rec, written); err != nil {
		return "", err
	}
	return source, w.records.SaveDeployment(ctx, rec)
}
