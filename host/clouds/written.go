package clouds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// The notes of a deployment's record about its source, and about what was in each file that was
// written for it.
const (
	noteSource = "source"
	noteFile   = "file:"
)

// HasSource reports whether a source was written for a deployment.
func HasSource(rec *deployment.Record) bool { return rec.Notes[noteSource] != "" }

// WriteSource records and writes the files of a deployment's source, by their paths below root, and
// returns the path of its source.conf. A file that it did not write, or that was changed since,
// stays and is an error. Files of before that are not among these are dropped, as by DropSource.
func WriteSource(
	ctx context.Context, records Deployments, rec *deployment.Record, root string, files map[string][]byte, stays func(path string),
) (string, error) {
	source, err := CheckSource(rec, root, files)
	if err != nil {
		return "", err
	}
	if rec.Notes == nil {
		rec.Notes = map[string]string{}
	}
	rec.Notes[noteSource] = source
	for name, data := range files {
		rec.Notes[noteFile+filepath.Join(root, name)] = digestOf(data)
	}
	if err := records.SaveDeployment(ctx, rec); err != nil {
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
	written := func(path string) bool { // now
		name, err := filepath.Rel(root, path)
		return err == nil && files[name] != nil
	}
	if err := dropWritten(rec, written, stays); err != nil {
		return "", err
	}
	return source, records.SaveDeployment(ctx, rec)
}

// CheckSource returns the path of the source.conf that WriteSource would write, or its error for a
// file that stays.
func CheckSource(rec *deployment.Record, root string, files map[string][]byte) (string, error) {
	for name, data := range files {
		path := filepath.Join(root, name)
		old, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case digestOf(old) != rec.Notes[noteFile+path] && digestOf(old) != digestOf(data):
			return "", fault.Conflict(
				"move it away, or deploy without --os to leave it as it is",
				"%s is there, and hostler cloud deploy did not write it so", path,
			)
		}
	}
	return filepath.Join(root, "sources", rec.Name, "source.conf"), nil
}

// DropSource removes the files of WriteSource, and the directories that are empty then. A file that
// was changed stays, and stays is called with its path.
func DropSource(rec *deployment.Record, stays func(path string)) error {
	if rec == nil {
		return nil
	}
	return dropWritten(rec, func(string) bool { return false }, stays)
}

// dropWritten removes the files of WriteSource, except those to keep.
func dropWritten(rec *deployment.Record, keep func(path string) bool, stays func(path string)) error {
	for key, digest := range rec.Notes {
		path, ok := strings.CutPrefix(key, noteFile)
		if !ok || keep(path) {
			continue
		}
		delete(rec.Notes, key)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && digestOf(data) != digest {
			stays(path)
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

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
