package openssh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Keys collects the keys to offer to one host, best first, and remembers which could not be used
// and why.
type Keys struct {
	Target *Target
	agent  net.Conn // open while the handshake goes on
	locked []string // files with a passphrase that the agent does not hold
	bad    []string // files that are there and cannot be read
}

// Close ends the connection to the agent; keys of its cannot sign after that.
func (k *Keys) Close() {
	if k.agent != nil {
		k.agent.Close()
	}
}

// Signers is called by the handshake when the host accepts public keys. The order is OpenSSH's:
// named keys that the agent holds, the agent's others, then the named files; certificates before
// the bare key.
func (k *Keys) Signers() ([]ssh.Signer, error) {
	held := k.fromAgent()
	var named, files []ssh.Signer
	taken := map[string]bool{}
	certs := map[string][]*ssh.Certificate{}
	for _, f := range append(mapWords(k.Target.identities, func(s string) string { return s + "-cert.pub" }), k.Target.certificates...) {
		if c, ok := readPublic(f).(*ssh.Certificate); ok {
			certs[string(c.Key.Marshal())] = append(certs[string(c.Key.Marshal())], c)
		}
	}
	withCerts := func(s ssh.Signer) (out []ssh.Signer) {
		for _, c := range certs[string(s.PublicKey().Marshal())] {
			if cs, err := ssh.NewCertSigner(c, s); err == nil {
				out = append(out, cs)
			}
		}
		return append(out, s)
	}
	for _, f := range k.Target.identities {
		pub := readPublic(f + ".pub")
		if pub == nil {
			pub = readPublic(f) // IdentityFile may name the public half of a key in the agent
		}
		if s := held[keyID(pub)]; s != nil {
			named = append(named, withCerts(s)...)
			taken[keyID(pub)] = true
			continue
		}
		s, err := k.fromFile(f)
		if err != nil || s == nil {
			continue
		}
		if id := keyID(s.PublicKey()); held[id] != nil {
			taken[id] = true
		}
		files = append(files, withCerts(s)...)
	}
	if !k.Target.onlyThese {
		for _, s := range k.ordered(held) {
			if !taken[keyID(s.PublicKey())] {
				named = append(named, withCerts(s)...)
			}
		}
	}
	return append(named, files...), nil
}

// fromAgent returns the agent's keys by their id, or nil if no agent answers. Its connection
// stays open in k.agent, as the signers use it.
func (k *Keys) fromAgent() map[string]ssh.Signer {
	if k.Target.agent == "" {
		return nil
	}
	c, err := net.DialTimeout("unix", k.Target.agent, 5*time.Second)
	if err != nil {
		return nil // as OpenSSH: an agent that is not there is none
	}
	k.agent = c
	signers, err := agent.NewClient(c).Signers()
	if err != nil {
		return nil
	}
	held := map[string]ssh.Signer{}
	for _, s := range signers {
		held[keyID(s.PublicKey())] = s
	}
	return held
}

// ordered gives the agent's keys an order that does not change from call to call.
func (k *Keys) ordered(held map[string]ssh.Signer) []ssh.Signer {
	var out []ssh.Signer
	for _, id := range sortedKeys(held) {
		out = append(out, held[id])
	}
	return out
}

// fromFile returns the key in a file. It records why a key cannot be used.
func (k *Keys) fromFile(name string) (ssh.Signer, error) {
	f, err := os.Open(name)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			k.bad = append(k.bad, err.Error())
		}
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err == nil && !isPublic(b) {
		err = onlyRead(f)
	}
	if err != nil {
		k.bad = append(k.bad, err.Error())
		return nil, err
	}
	s, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		k.locked = append(k.locked, name)
	case err != nil && !isPublic(b):
		k.bad = append(k.bad, name+": "+strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return s, err
}

// isPublic reports whether a file has the public half of a key.
func isPublic(b []byte) bool {
	_, _, _, _, err := ssh.ParseAuthorizedKey(b)
	return err == nil
}

// onlyRead refuses a private key of ours that others may read, as OpenSSH does: then it is no
// secret, and the user should know.
func onlyRead(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Getuid() && fi.Mode().IsRegular() && fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s may be read by others (mode %04o); chmod 600 it", f.Name(), fi.Mode().Perm())
	}
	return nil
}

// Why says what the user may do when no key was accepted.
func (k *Keys) Why() string {
	switch {
	case len(k.locked) > 0:
		return fmt.Sprintf("The key %s has a passphrase: run ssh-add %s first", k.locked[0], k.locked[0])
	case len(k.bad) > 0:
		return "This key could not be used: " + strings.Join(k.bad, "; ")
	}
	return fmt.Sprintf("Try ssh %s: the user, IdentityFile or the host's authorized_keys may be wrong", k.Target.Alias)
}

// readPublic returns the public key or certificate in a file, or nil.
func readPublic(name string) ssh.PublicKey {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return nil
	}
	return pub
}

func keyID(k ssh.PublicKey) string {
	if k == nil {
		return ""
	}
	return string(k.Marshal())
}
