package openstack

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// loginKey is the key that we log in to servers with.
type loginKey struct {
	name   string // the cloud's name of it
	file   string // the private half; "": OpenSSH's configuration decides
	public string // for the source's own key; "": the user manages the key pair
}

// newKeyPair makes an ssh key: the private half in OpenSSH's format, and the public half as TYPE
// BASE64.
func newKeyPair(comment string) (private []byte, public string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return nil, "", err
	}
	p, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p))), nil
}

// loginKey returns the key pair for servers. The source's own is made at its first use, and kept in
// the source's directory. Its name differs for each directory.
func (p *Provider) loginKey() (loginKey, error) {
	if p.o.Key != "" {
		return loginKey{name: p.o.Key, file: p.o.IdentityFile}, nil
	}
	file, public, err := OwnKey(p.o.Dir, p.o.Source)
	if err != nil {
		return loginKey{}, err
	}
	sum := sha256.Sum256([]byte(p.o.Installation + " " + public))
	return loginKey{name: "hostler-" + p.o.Source + "-" + hex.EncodeToString(sum[:4]), file: file, public: public}, nil
}

// OwnKey returns the source's own ssh key for its computers, and makes it at the first use. file in
// its directory has the private half, and public is TYPE BASE64.
func OwnKey(dir, source string) (file, public string, err error) {
	file = filepath.Join(dir, "login_ed25519")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeLoginKey(dir, source, file)
	}
	if err != nil {
		return "", "", err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return "", "", &compute.Error{
			Op: "openstack.Key", ID: compute.ID(source), Kind: compute.ErrFailed,
			Err:  fmt.Errorf("%s is no private key: %w", file, err),
			Hint: "remove it; servers that were made with it cannot be logged in to any more",
		}
	}
	return file, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}

// makeLoginKey writes a new key, unless another process was faster.
func makeLoginKey(dir, source, file string) ([]byte, error) {
	private, _, err := newKeyPair("hostler " + source)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, ".login-") // 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(private)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(f.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(file)
}

// ensureKey uploads the source's own key if the cloud does not have it.
func (p *Provider) ensureKey(ctx context.Context, k loginKey) error {
	p.mu.Lock()
	there := p.keyThere
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
		p.setKey(yes)
	}
	return err
}

// dropKey deletes the source's own key at the cloud if the source has no server. Servers keep their
// keys. If another process is requesting one, that process uploads the key again.
func (p *Provider) dropKey(ctx context.Context) error {
	p.mu.Lock()
	there := p.keyThere
	p.mu.Unlock()
	if p.o.Key != "" || there == no {
		return nil
	}
	if _, err := os.Stat(filepath.Join(p.o.Dir, "login_ed25519")); err != nil {
		return nil // it was never made
	}
	k, err := p.loginKey()
	if err != nil {
		return err
	}
	c, err := p.s.Compute(ctx)
	if err != nil {
		return err
	}
	p.setKey(no)
	if err := gone(keypairs.Delete(ctx, c, k.name, nil).ExtractErr()); err != nil {
		p.setKey(unknown) // it may still exist: the next call asks again
		return err
	}
	return nil
}

// DropKey deletes at a cloud the own key of a source without servers, whose settings may be others
// now. Options needs Session, Source, Installation and Dir. A missing key is no error.
func DropKey(ctx context.Context, o Options) error {
	o.Key = ""
	return (&Provider{o: o, s: o.Session}).dropKey(ctx)
}

func (p *Provider) forgetKey() { p.setKey(unknown) }

func (p *Provider) setKey(to presence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keyThere = to
}

// presence says whether something exists, as far as is known.
type presence int

const (
	unknown presence = iota
	yes
	no
)

// UserOf returns the log-in user of an image: the one that the image names, else the usual one of
// its distribution.
func UserOf(i images.Image) string {
	for _, key := range []string{"os_admin_user", "image_original_user", "default_user"} {
		if u, _ := i.Properties[key].(string); u != "" {
			return u
		}
	}
	distro, _ := i.Properties["os_distro"].(string)
	name := strings.ToLower(cmp.Or(distro, i.Name))
	for _, known := range [][2]string{
		{"ubuntu", "ubuntu"}, {"debian", "debian"}, {"cirros", "cirros"}, {"fedora-coreos", "core"}, {"flatcar", "core"},
		{"fedora", "fedora"}, {"centos", "cloud-user"}, {"rocky", "rocky"},
		{"alma", "almalinux"}, {"rhel", "cloud-user"}, {"arch", "arch"}, {"opensuse", "opensuse"},
		{"freebsd", "freebsd"}, {"alpine", "alpine"}, {"gentoo", "gentoo"},
	} {
		if strings.HasPrefix(name, known[0]) {
			return known[1]
		}
	}
	return "root"
}

// consoleKeys reads host keys from a console log, where cloud-init writes them.
func consoleKeys(log string) (out []string) {
	_, rest, ok := strings.Cut(log, "-----BEGIN SSH HOST KEY KEYS-----")
	if !ok {
		return nil
	}
	block, _, ended := strings.Cut(rest, "-----END SSH HOST KEY KEYS-----")
	if !ended {
		return nil
	}
	for line := range bytes.Lines([]byte(block)) {
		if i := bytes.Index(line, []byte("ssh-")); i >= 0 {
			line = line[i:]
		} else if i := bytes.Index(line, []byte("ecdsa-")); i >= 0 {
			line = line[i:]
		}
		if key, _, _, _, err := ssh.ParseAuthorizedKey(line); err == nil {
			out = append(out, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
		}
	}
	return out
}
