package openssh

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" // the hash of OpenSSH's hashed host names
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// known is a line of a known_hosts file that speaks of the host.
type known struct {
	file   string
	line   int
	marker string // "", "cert-authority", "revoked"
	key    ssh.PublicKey
}

// HostKeys checks one host's key against the known_hosts files. It reads them itself, line by line,
// so that a line of an unknown kind spoils nothing and an error can name file and line.
type HostKeys struct {
	t     *Target
	name  string // as it stands in the files: HOST or [HOST]:PORT
	known []known

	revoked []known // the keys in RevokedHostKeys, which name no host
	broken  error   // why RevokedHostKeys cannot be read: then no key can be trusted
}

// NewHostKeys reads what the target's files know of its host.
func NewHostKeys(t *Target) *HostKeys {
	h := &HostKeys{t: t, name: t.Host}
	switch {
	case t.keyAlias != "":
		h.name = t.keyAlias
	case t.Port != "22":
		h.name = "[" + t.Host + "]:" + t.Port
	}
	for _, key := range t.pinned {
		h.known = append(h.known, known{key: key})
	}
	for _, f := range t.knownHosts {
		h.read(f)
	}
	for _, f := range t.revoked {
		if err := h.readRevoked(f); err != nil && h.broken == nil {
			h.broken = fmt.Errorf("RevokedHostKeys: %w", err)
		}
	}
	return h
}

// Lines are the keys by which the host is known, as known_hosts has them: no authorities, and none
// that is revoked.
func (h *HostKeys) Lines() (out []string) {
	for _, k := range h.known {
		line := h.name + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.key)))
		if k.marker == "" && !slices.Contains(out, line) && h.refuseRevoked(k.key) == nil {
			out = append(out, line)
		}
	}
	return out
}

// read adds the lines of a known_hosts file that match the host. A file that cannot be read has
// none, and bad lines are skipped.
func (h *HostKeys) read(file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		return
	}
	for i, line := range bytes.Split(b, []byte("\n")) {
		marker, hosts, key, _, _, err := ssh.ParseKnownHosts(line)
		if err == nil && matchesHost(hosts, h.name) {
			h.known = append(h.known, known{file, i + 1, marker, key})
		}
	}
}

// readRevoked reads a file of public keys, one in a line. It refuses OpenSSH's binary lists: a list
// that cannot be read says of no key that it is good.
func (h *HostKeys) readRevoked(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(b, []byte("SSHKRL\n\x00")) {
		return fmt.Errorf("%s: a binary revocation list, which only OpenSSH reads", file)
	}
	for i, line := range bytes.Split(b, []byte("\n")) {
		if key, _, _, _, err := ssh.ParseAuthorizedKey(line); err == nil {
			h.revoked = append(h.revoked, known{file, i + 1, "revoked", key})
		}
	}
	return nil
}

// refuseRevoked refuses a key, or a certificate for one or by one, that somebody has revoked:
// before anything else, and however strict we are.
func (h *HostKeys) refuseRevoked(key ssh.PublicKey) error {
	if h.broken != nil {
		return h.refuse(h.broken, "Name a file with one public key in a line, or none")
	}
	keys := []ssh.PublicKey{key}
	if cert, ok := key.(*ssh.Certificate); ok {
		keys = append(keys, cert.Key, cert.SignatureKey)
	}
	for _, k := range slices.Concat(h.revoked, h.known) {
		if k.marker == "revoked" &&
			slices.ContainsFunc(keys, func(key ssh.PublicKey) bool { return bytes.Equal(k.key.Marshal(), key.Marshal()) }) {
			return h.refuse(fmt.Errorf("the host key is revoked in %s, line %d", k.file, k.line), "Ask who runs the host for its new key")
		}
	}
	return nil
}

// matchesHost reports whether a list of patterns, hashed or plain, means the name.
func matchesHost(patterns []string, name string) bool {
	found := false
	for _, p := range patterns {
		if strings.HasPrefix(p, "|1|") {
			parts := strings.Split(p, "|")
			if len(parts) != 4 {
				continue
			}
			salt, _ := base64.StdEncoding.DecodeString(parts[2])
			want, _ := base64.StdEncoding.DecodeString(parts[3])
			mac := hmac.New(sha1.New, salt)
			mac.Write([]byte(name))
			found = found || hmac.Equal(mac.Sum(nil), want)
			continue
		}
		not := strings.HasPrefix(p, "!")
		pattern := strings.NewReplacer("[", `\[`, "]", `\]`).Replace(strings.ToLower(strings.TrimPrefix(p, "!")))
		if ok, _ := path.Match(pattern, strings.ToLower(name)); ok {
			if not {
				return false
			}
			found = true
		}
	}
	return found
}

// Algorithms are those that the host may show a key of, with the algorithms of known keys first, so
// that a host with several keys shows one that can be checked. Certificates are allowed only where
// an authority for them is known.
func (h *HostKeys) Algorithms() []string {
	var known []string
	authority := false
	for _, k := range h.known {
		switch {
		case k.marker == "revoked":
		case k.marker == "cert-authority":
			authority = true
			known = append([]string{ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
				ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}, known...)
		case k.key.Type() == ssh.KeyAlgoRSA:
			known = append(known, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			known = append(known, k.key.Type())
		}
	}
	supported := slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(a string) bool {
		return !authority && strings.Contains(a, "-cert-v01@")
	})
	var out []string
	for _, a := range append(known, supported...) {
		if slices.Contains(supported, a) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// Check is the handshake's host key callback.
func (h *HostKeys) Check(_ string, _ net.Addr, key ssh.PublicKey) error {
	if err := h.refuseRevoked(key); err != nil {
		return err
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		return h.checkCertificate(cert)
	}
	var other *known
	for i, k := range h.known {
		same := bytes.Equal(k.key.Marshal(), key.Marshal())
		switch {
		case same && k.marker == "":
			return nil
		case k.marker == "" && (other == nil || k.key.Type() == key.Type()):
			other = &h.known[i]
		}
	}
	print := key.Type() + " " + ssh.FingerprintSHA256(key)
	switch {
	case len(h.t.pinned) > 0:
		return h.refuse(
			fmt.Errorf("the host key of %s is not the one that it was given: it shows %s", h.name, print),
			"Someone may be listening, or another computer has the address",
		)
	case other != nil && h.t.strict != "no":
		return h.refuse(fmt.Errorf(
			"the host key of %s has changed: it shows %s, not the one in %s, line %d", h.name, print, other.file,
			other.line,
		),
			fmt.Sprintf("If the change is known to be right, remove line %d of %s and connect once with ssh; else someone may be listening",
				other.line, other.file))
	case other == nil && h.t.strict == "yes":
		return h.refuse(fmt.Errorf("the host key of %s is not known: it shows %s", h.name, print),
			fmt.Sprintf("Connect once with ssh %s and compare the key, or add it with ssh-keyscan", h.t.Alias))
	case other == nil:
		return h.remember(key)
	}
	return nil // strict is no: as OpenSSH, go on without a password to lose
}

// checkCertificate accepts a host certificate that a @cert-authority line of the host vouches
// for. With StrictHostKeyChecking no, it accepts any.
func (h *HostKeys) checkCertificate(cert *ssh.Certificate) error {
	checker := &ssh.CertChecker{
		IsHostAuthority: func(ca ssh.PublicKey, _ string) bool {
			return slices.ContainsFunc(h.known, func(k known) bool {
				return k.marker == "cert-authority" && bytes.Equal(k.key.Marshal(), ca.Marshal())
			})
		},
	}
	host := h.t.Host
	if h.t.keyAlias != "" {
		host = h.t.keyAlias
	}
	if err := checker.CheckHostKey(net.JoinHostPort(host, h.t.Port), nil, cert); err != nil {
		if h.t.strict == "no" {
			return nil
		}
		return h.refuse(err, "The host shows a certificate: a @cert-authority line in known_hosts must name who signed it")
	}
	return nil
}

// remember adds the key to the user's first file, as accept-new says.
func (h *HostKeys) remember(key ssh.PublicKey) error {
	file := h.t.newKeys
	if file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil // as OpenSSH: that it cannot be noted down is no reason not to connect
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil
	}
	defer f.Close()
	line := fmt.Sprintf("%s %s", h.name, ssh.MarshalAuthorizedKey(key))
	if fi, err := f.Stat(); err == nil && fi.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, fi.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, _ = f.WriteString(line)
	return nil
}

func (h *HostKeys) refuse(err error, hint string) error {
	return &compute.Error{Op: "ssh.Dial", ID: compute.ID(h.t.Alias), Kind: compute.ErrDenied, Err: err, Hint: hint}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
