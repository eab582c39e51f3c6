//go:build linux

package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
)

// sandboxNet is the record of a sandbox with a network, in a file named by its address. It is
// read when the table is made anew and when the sandbox's questions for names are answered.
type sandboxNet struct {
	ID     compute.ID `json:"id"`
	Egress []string   `json:"egress"`
	addr   netip.Addr
	policy egress.Policy
}

// sandboxStore keeps the records of boxes in a directory of the network.
type sandboxStore struct{ dir string }

func (s *sandboxStore) dirPath() string { return filepath.Join(s.dir, "egress") }

func (s *sandboxStore) filePath(addr netip.Addr) string {
	return filepath.Join(s.dirPath(), addr.String())
}

// note writes a box. fresh is false if the address had one before.
func (s *sandboxStore) note(b sandboxNet) (fresh bool, err error) {
	text, err := json.Marshal(b)
	if err != nil {
		return false, err
	}
	if err := os.Mkdir(s.dirPath(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	_, err = os.Lstat(s.filePath(b.addr))
	return errors.Is(err, fs.ErrNotExist), replace(s.filePath(b.addr), string(text)+"\n")
}

// box reads the box of an address.
func (s *sandboxStore) box(addr netip.Addr) (b sandboxNet, err error) {
	text, err := os.ReadFile(s.filePath(addr))
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err == nil {
		b.policy, err = egress.Parse(b.Egress)
	}
	b.addr = addr
	if err != nil {
		err = fmt.Errorf("where %s may go: %w", addr, err)
	}
	return b, err
}

// boxes reads all boxes. A box that cannot be read is left out, so it reaches nothing.
func (s *sandboxStore) boxes() ([]sandboxNet, error) {
	entries, err := os.ReadDir(s.dirPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []sandboxNet
	for _, e := range entries {
		if addr, err := netip.ParseAddr(e.Name()); err == nil {
			if b, err := s.box(addr); err == nil {
				out = append(out, b)
			}
		}
	}
	return out, nil
}

// admit puts an address under its policy; a flush applies it.
func (n *Network) admit(t *table, id compute.ID, addr netip.Addr) error {
	if err := n.at("egress"); err != nil {
		return err
	}
	if n.o.Egress.Named() && len(n.o.Answers) == 0 {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("egress = %s: nobody here answers for names", n.o.Egress),
			Hint: "give addresses or ranges, or use hostler's own program, which does"}
	}
	if n.o.Egress.Named() {
		if err := n.startDNS(); err != nil {
			return err
		}
	}
	b := sandboxNet{ID: id, Egress: n.o.Egress.Words(), addr: addr, policy: n.o.Egress}
	fresh, err := n.kept.note(b)
	if err != nil {
		return err
	}
	if !fresh {
		if err := t.expel(addr); err != nil {
			return err
		}
	}
	p := n.plan()
	if err := t.policy(p, b.policy, false); err != nil {
		return err
	}
	return t.place(b)
}

// dismiss forgets the addresses that no sandbox has any more, except those that stay.
func (n *Network) dismiss(t *table, stay func(netip.Addr) bool) error {
	entries, err := os.ReadDir(n.kept.dirPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		addr, perr := netip.ParseAddr(e.Name())
		if perr == nil && stay(addr) {
			continue
		}
		if perr == nil {
			err = errors.Join(err, t.expel(addr))
		}
		err = errors.Join(err, os.Remove(filepath.Join(n.kept.dirPath(), e.Name())))
	}
	return err
}
