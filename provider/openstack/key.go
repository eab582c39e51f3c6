package openstack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/login"
)

// loginKey is the key that we log in to servers with.
type loginKey struct {
	name   string // the cloud's name of it
	file   string // the private half; "": OpenSSH's configuration decides
	public string // for the source's own key; "": the user manages the key pair
}

// pair is the key pair of the source's servers: its own, or one that the user manages.
type pair struct {
	o *Options
	s *Session

	mu    sync.Mutex
	there presence // whether the cloud has the source's own key
}

// login returns the key pair for servers. The source's own is made at its first use, and kept in
// the source's directory. Its name differs for each directory.
func (p *pair) login() (loginKey, error) {
	if p.o.Key != "" {
		return loginKey{name: p.o.Key, file: p.o.IdentityFile}, nil
	}
	file, public, err := login.OwnKey(p.o.Dir, p.o.Source)
	if err != nil {
		return loginKey{}, err
	}
	sum := sha256.Sum256([]byte(p.o.Installation + " " + public))
	return loginKey{name: "hostler-" + p.o.Source + "-" + hex.EncodeToString(sum[:4]), file: file, public: public}, nil
}

// ensure uploads the source's own key if the cloud does not have it.
func (p *pair) ensure(ctx context.Context, k loginKey) error {
	p.mu.Lock()
	there := p.there
	p.mu.Unlock()
	if k.public == "" || there == yes {
		return nil
	}
	c, err := p.s.Compute(ctx)
	if err != nil {
		return err
	}
	_, err = keypairs.Get(ctx, c, k.name, nil).Extract()
	if err = Classify("Key", compute.ID(k.name), err); ReasonOf(err) == Missing {
		_, err = keypairs.Create(ctx, c, keypairs.CreateOpts{Name: k.name, PublicKey: k.public}).Extract()
		if err = Classify("Key", compute.ID(k.name), err); ReasonOf(err) == Conflicting {
			err = nil // another process made it
		}
	}
	if err == nil {
		p.set(yes)
	}
	return err
}

// drop deletes the source's own key at the cloud if the source has no server. Servers keep their
// keys. If another process is requesting one, that process uploads the key again.
func (p *pair) drop(ctx context.Context) error {
	p.mu.Lock()
	there := p.there
	p.mu.Unlock()
	if p.o.Key != "" || there == no {
		return nil
	}
	if _, err := os.Stat(filepath.Join(p.o.Dir, login.KeyFile)); err != nil {
		return nil // it was never made
	}
	k, err := p.login()
	if err != nil {
		return err
	}
	c, err := p.s.Compute(ctx)
	if err != nil {
		return err
	}
	p.set(no)
	if err := gone(keypairs.Delete(ctx, c, k.name, nil).ExtractErr()); err != nil {
		p.set(unknown) // it may still exist: the next call asks again
		return err
	}
	return nil
}

// DropKey deletes at a cloud the own key of a source without servers, whose settings may be others
// now. Options needs Session, Source, Installation and Dir. A missing key is no error.
func DropKey(ctx context.Context, o Options) error {
	o.Key = ""
	return (&pair{o: &o, s: o.Session}).drop(ctx)
}

func (p *pair) set(to presence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.there = to
}

// presence says whether something exists, as far as is known.
type presence int

const (
	unknown presence = iota
	yes
	no
)
