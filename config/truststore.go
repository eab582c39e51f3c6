package config

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// TrustStore keeps the user's approvals, a small file each. Its methods may be called at once by many processes.
type TrustStore struct {
	Dir string // $XDG_STATE_HOME/hostler/trust; made at the first approval. "": nothing is approved
}

// Approval is what the user said about a root.
type Approval struct {
	Root   string    `json:"root"`
	Digest string    `json:"digest"` // of the content that he saw
	Time   time.Time `json:"time"`
}

func (t TrustStore) file(root string) string {
	return filepath.Join(t.Dir, fmt.Sprintf("%x.json", sha256.Sum256([]byte(filepath.Clean(root)))))
}

// Trusted reports whether the root is approved with that content. A file that cannot be read approves nothing, and is an error.
func (t TrustStore) Trusted(root, digest string) (bool, error) {
	if t.Dir == "" {
		return false, nil
	}
	a, err := readApproval(t.file(root))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && a.Root == filepath.Clean(root) && a.Digest == digest && digest != "", err
}

// Approve records that the user trusts the root as long as its content is that of the digest.
func (t TrustStore) Approve(root, digest string) error {
	if t.Dir == "" {
		return &Error{Msg: "there is no place to keep approvals in"}
	}
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(Approval{Root: filepath.Clean(root), Digest: digest, Time: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return renameio.WriteFile(t.file(root), append(data, '\n'), 0o600, renameio.IgnoreUmask())
}

// Revoke takes an approval back. One that was never given is no error.
func (t TrustStore) Revoke(root string) error {
	if err := os.Remove(t.file(root)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List returns all approvals, by root. What cannot be read is left out and told in the error.
func (t TrustStore) List() ([]Approval, error) {
	files, err := os.ReadDir(t.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []Approval
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		a, e := readApproval(filepath.Join(t.Dir, f.Name()))
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Approval) int { return strings.Compare(a.Root, b.Root) })
	return out, err
}

func readApproval(file string) (Approval, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Approval{}, err
	}
	var a Approval
	if err := json.Unmarshal(data, &a); err != nil {
		return Approval{}, &Error{File: file, Msg: "is not an approval; remove it and approve again", Err: err}
	}
	return a, nil
}
