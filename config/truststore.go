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

// TrustStore keeps the user's approvals, a small file each. Several processes may use it at once.
type TrustStore struct {
	Dir string // $XDG_STATE_HOME/hostler/trust, made when needed; "": nothing is approved
}

// Approval is what the user approved of a root.
type Approval struct {
	Root   string    `json:"root"`
	Digest string    `json:"digest"` // of everything that was shown
	Time   time.Time `json:"time"`
	// none: an older approval, whose Digest is over files
	Items []ApprovedItem `json:"items,omitempty"`
}

// ApprovedItem is an item as the user approved it.
type ApprovedItem struct {
	Name   string      `json:"name"` // "source NAME", "bundle NAME", "job NAME", "[SECTION] KEY"
	Source string      `json:"source,omitempty"`
	Digest string      `json:"digest"`
	Says   []string    `json:"says,omitempty"`  // the keys that matter, a line each
	Files  []BoundFile `json:"files,omitempty"` // hooks, scripts and other files in use
}

// BoundFile is a file that an approval is bound to.
type BoundFile struct {
	Path string `json:"path"`
	// where it leads, whether it is executable, and the hash of its content
	Digest string `json:"digest"`
	Text   string `json:"text,omitempty"` // the content of a short text
}

func (t TrustStore) file(root string) string {
	return filepath.Join(t.Dir, fmt.Sprintf("%x.json", sha256.Sum256([]byte(filepath.Clean(root)))))
}

// approval returns the approval of a root, or the zero one. An unreadable file is an error and
// approves nothing.
func (t TrustStore) approval(root string) (Approval, error) {
	if t.Dir == "" {
		return Approval{}, nil
	}
	a, err := readApproval(t.file(root))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Approval{}, nil
	case err != nil || a.Root != filepath.Clean(root):
		return Approval{}, err
	}
	return a, nil
}

// Approve records that the user approves a root's items as they are in d.
func (t TrustStore) Approve(d Danger) error {
	if t.Dir == "" {
		return &Error{Msg: "there is no place to keep approvals in"}
	}
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return err
	}
	a := Approval{Root: filepath.Clean(d.Root), Digest: d.Digest, Time: time.Now().UTC().Truncate(time.Second)}
	for _, it := range d.Items {
		a.Items = append(a.Items, it.ApprovedItem)
	}
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return renameio.WriteFile(t.file(d.Root), append(data, '\n'), 0o600, renameio.IgnoreUmask())
}

// Revoke removes an approval. A missing one is no error.
func (t TrustStore) Revoke(root string) error {
	if err := os.Remove(t.file(root)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List returns all approvals, by root. Unreadable ones are left out and reported in the error.
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

// readApproval reads the file of one approval.
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
