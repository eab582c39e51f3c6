// Package keys makes the ssh keys of a source of instances. It derives all of them from one secret,
// so nothing is stored for an instance.
package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// Pair is an ssh key pair.
type Pair struct {
	Private []byte // PEM in OpenSSH's format
	Public  string // one line without its newline
}

// Ring makes the keys of one source. Any number of goroutines may use it.
type Ring struct {
	Dir          string // has the secret if there is no IdentityFile
	Installation string
	Source       string
	// the private key to log in with; "": derived from the secret, or with KeyName none
	IdentityFile string
	KeyName      string // the user's key pair at the service; "": there is none

	mu     sync.Mutex
	secret []byte // nil: not read yet
}

// root returns the secret that keys are derived from. It is the private key that the source names,
// else a file in Dir, which is made when it is first needed.
func (r *Ring) root() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.secret != nil {
		return r.secret, nil
	}
	file := r.IdentityFile
	if file == "" {
		file = filepath.Join(r.Dir, "secret")
		if err := makeSecret(file); err != nil {
			return nil, fmt.Errorf("make the secret of keys: %w", err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err, Hint: "see identity-file in the source"}
	}
	if len(b) < 32 {
		return nil, &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s is too short for a secret", file)}
	}
	r.secret = b
	return b, nil
}

// makeSecret writes a new secret, unless there is one.
func makeSecret(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	b := make([]byte, 64)
	if _, err := rand.Read(b); err != nil {
		return err
	}
	f, err := renameio.NewPendingFile(file, renameio.WithPermissions(0o600), renameio.WithExistingPermissions())
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// the first process's secret stays
	if err := os.Link(f.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// derive makes a key from the secret. Equal purposes give equal keys.
func (r *Ring) derive(comment string, purpose ...string) (k Pair, err error) {
	secret, err := r.root()
	if err != nil {
		return k, err
	}
	seed, err := hkdf.Key(
		sha256.New, secret, nil, "hostler ec2 "+strings.Join(append(purpose, r.Installation, r.Source), "\x00"),
		ed25519.SeedSize,
	)
	if err != nil {
		return k, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return k, err
	}
	block, err := marshal(key, comment)
	if err != nil {
		return k, err
	}
	return Pair{pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))) + " " + comment}, nil
}

// Host returns the host key for an instance.
func (r *Ring) Host(id compute.ID) (Pair, error) {
	return r.derive("root@"+hostname(id), "host", string(id))
}

// Login returns the public key that may log in. "": only the service has it.
func (r *Ring) Login() (string, error) {
	if r.IdentityFile != "" {
		b, err := os.ReadFile(r.IdentityFile)
		if err != nil {
			return "", &compute.Error{Kind: compute.ErrInvalid, Err: err, Hint: "see identity-file in the source"}
		}
		s, err := ssh.ParsePrivateKey(b)
		if err == nil {
			return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))), nil
		}
		// with a passphrase: an agent has the key
		pub, perr := os.ReadFile(r.IdentityFile + ".pub")
		if perr != nil {
			return "", &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("identity-file %s: %w", r.IdentityFile, err)}
		}
		return strings.TrimSpace(string(bytes.SplitN(pub, []byte("\n"), 2)[0])), nil
	}
	if r.KeyName != "" {
		return "", nil
	}
	k, err := r.Own()
	return k.Public, err
}

// Own returns the log-in key that is derived from the secret.
func (r *Ring) Own() (Pair, error) { return r.derive("hostler", "login") }

// HasSecret reports whether there is a secret already.
func (r *Ring) HasSecret() bool {
	_, err := os.Stat(filepath.Join(r.Dir, "secret"))
	return err == nil
}

// File returns the path to which WriteOwn writes the private log-in key.
func (r *Ring) File() string { return filepath.Join(r.Dir, "key") }

// WriteOwn writes the log-in key that is derived from the secret.
func (r *Ring) WriteOwn() (k Pair, err error) {
	if k, err = r.Own(); err != nil {
		return k, err
	}
	return k, Write(r.File(), string(k.Private))
}

// Write replaces a file atomically, unless it has that text already.
func Write(file, text string) error {
	if b, err := os.ReadFile(file); err == nil && string(b) == text {
		return nil
	}
	return renameio.WriteFile(file, []byte(text), 0o600)
}

// hostname returns an instance's name as a host name.
func hostname(id compute.ID) string {
	s := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(string(id)))
	return strings.Trim(s[:min(len(s), 63)], "-")
}

// marshal encodes a private key in OpenSSH's format. Equal keys give equal bytes, so a request with
// a key can be repeated.
func marshal(key ed25519.PrivateKey, comment string) (*pem.Block, error) {
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	inner := ssh.Marshal(struct {
		Check1, Check2 uint32
		Type           string
		Pub, Priv      []byte
		Comment        string
		Pad            []byte `ssh:"rest"`
	}{1, 1, ssh.KeyAlgoED25519, key.Public().(ed25519.PublicKey), key, comment, nil})
	for i := byte(1); len(inner)%8 != 0; i++ {
		inner = append(inner, i)
	}
	outer := ssh.Marshal(struct {
		Cipher, KDF, KDFOptions string
		Keys                    uint32
		Pub, Inner              []byte
	}{"none", "none", "", 1, pub.Marshal(), inner})
	return &pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte("openssh-key-v1\x00"), outer...)}, nil
}
