package cloudcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
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

// onSuccess runs the command of --on-success.
func onSuccess(a *cli.App, ctx context.Context, o *cloudDeployOptions, v cloudView) error {
	if o.success == "" || o.dry {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", o.success)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Err, a.Err
	cmd.Env = append(os.Environ(), "HOSTLER_CLOUD="+v.Name, "HOSTLER_HEAD="+v.Head)
	if err := cmd.Run(); err != nil {
		return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("--on-success: %w", err)}
	}
	return nil
}
