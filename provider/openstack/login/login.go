// Package login has what a new server and we need for the log-in: keys, the user, and the user data
// of its first boot.
package login

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// newPair makes an ssh key: the private half in OpenSSH's format, and the public half as TYPE
// BASE64.
func newPair(comment string) (private []byte, public string, err error) {
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

// KeyFile is the file in a source's directory that has the private half of its own key.
const KeyFile = "login_ed25519"

// OwnKey returns the source's own ssh key for its computers, and makes it at the first use. file in
// its directory has the private half, and public is TYPE BASE64.
func OwnKey(dir, source string) (file, public string, err error) {
	file = filepath.Join(dir, KeyFile)
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
	private, _, err := newPair("hostler " + source)
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

// ConsoleKeys reads host keys from a console log, where cloud-init writes them.
func ConsoleKeys(log string) (out []string) {
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
