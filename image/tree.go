package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/image/layer"
)

// tree is the files of a store, without a meaning.
type tree struct {
	dir  string
	boot string // identifies the machine's last start
}

// make makes the directories of a store.
func (t *tree) make() error {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return err
	}
	for _, d := range []string{"layers", "images", "names", "uses", "locks", "tmp"} {
		if err := os.Mkdir(filepath.Join(t.dir, d), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	const tag = "Signature: 8a477f597d28d172789f06886806bc55\n" +
		"# Images that hostler unpacked: they can be fetched again. See https://bford.info/cachedir/\n"
	return os.WriteFile(filepath.Join(t.dir, "CACHEDIR.TAG"), []byte(tag), 0o600)
}

// durability tells whether a record and its files would survive a loss of power. Files that were
// not synced before the machine's last start are not trusted.
type durability struct {
	Boot   string `json:"boot,omitempty"`
	Synced bool   `json:"synced,omitempty"`
}

func (d durability) counts(boot string) bool { return d.Synced || d.Boot == boot }

// nameRecord is a name's file.
type nameRecord struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Stamp  string `json:"stamp,omitempty"` // of the file that the image came from
}

func fileOf(digest string) string { return strings.Replace(digest, ":", "-", 1) }

func (t *tree) layerDir(diffID string) string { return filepath.Join(t.dir, "layers", fileOf(diffID)) }
func (t *tree) patchDir(digest string) string {
	return filepath.Join(t.dir, "images", fileOf(digest)+".top")
}
func (t *tree) imageFile(digest string) string {
	return filepath.Join(t.dir, "images", fileOf(digest)+".json")
}
func (t *tree) nameFile(name string) string {
	return filepath.Join(t.dir, "names", short(name)+".json")
}

func (t *tree) usesDir(digest string) string { return filepath.Join(t.dir, "uses", fileOf(digest)) }

// short derives a file's name from a text that may be long or hold slashes.
func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// readJSON reads a file of the store. A missing file, or one cut off by a loss of power, is
// fs.ErrNotExist.
func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if json.Unmarshal(data, v) != nil {
		return fmt.Errorf("%s: %w", file, fs.ErrNotExist)
	}
	return nil
}

// writeJSON writes a file of the store; it appears complete.
func (t *tree) writeJSON(file string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(t.dir, "tmp"), "new-")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// tempDir makes a directory. done removes it; gc does when this process is gone.
func (t *tree) tempDir() (dir string, done func(), err error) {
	if dir, err = os.MkdirTemp(filepath.Join(t.dir, "tmp"), "new-"); err != nil {
		return "", nil, err
	}
	f, err := os.Open(dir)
	if err == nil {
		err = flock(f, exclusive)
	}
	return dir, func() {
		_ = layer.RemoveTree(dir)
		_ = f.Close()
	}, err
}
