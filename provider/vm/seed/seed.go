// Package seed writes the small disk that tells a machine who it is.
package seed

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"os"
	"strings"

	"github.com/kdomanski/iso9660"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/provider/vm/guest"
)

// Seed is what a small disk tells an instance. cloud-init, and programs that do as it does, read
// it.
type Seed struct {
	ID       string // never the same for two machines
	Hostname string
	User     string   // the user that logs in with keys
	Keys     []string // public, a line each
	HostKey  Key      // sshd's; empty: sshd makes its own
	Extra    []byte   // the user's own user-data
	Program  string   // the agent, for images that boot by themselves; "": the image needs none
	Words    []string // before its own
}

// Key is an ssh key.
type Key struct {
	Private []byte // PEM, OpenSSH's
	Public  []byte // a line
}

// NewKey makes a key.
func NewKey(comment string) (k Key, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return k, err
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return k, err
	}
	p, err := ssh.NewPublicKey(pub)
	if err != nil {
		return k, err
	}
	return Key{pem.EncodeToMemory(block), append(bytes.TrimSuffix(ssh.MarshalAuthorizedKey(p), []byte("\n")), " "+comment+"\n"...)}, nil
}

// files are those on the seed, but for the agent.
func (s Seed) files() (map[string][]byte, error) {
	out := map[string][]byte{
		"meta-data":      fmt.Appendf(nil, "instance-id: %s\nlocal-hostname: %s\n", s.ID, s.Hostname),
		"network-config": []byte("version: 2\nethernets:\n  all:\n    match: {name: \"e*\"}\n    dhcp4: true\n"),
	}
	var b strings.Builder
	b.WriteString("#cloud-config\n")
	if len(s.Keys) > 0 {
		if s.User == "root" {
			b.WriteString("disable_root: false\nusers:\n  - name: root\n    ssh_authorized_keys:\n")
		} else {
			fmt.Fprintf(
				&b,
				"users:\n  - default\n  - name: %s\n    shell: /bin/bash\n    sudo: \"ALL=(ALL) NOPASSWD:ALL\"\n    ssh_authorized_keys:\n",
				s.User,
			)
		}
		for _, k := range s.Keys {
			fmt.Fprintf(&b, "      - %s\n", strings.TrimSpace(k))
		}
	}
	if len(s.HostKey.Private) > 0 {
		b.WriteString("ssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n    ")
		b.WriteString(strings.ReplaceAll(strings.TrimSpace(string(s.HostKey.Private)), "\n", "\n    "))
		fmt.Fprintf(&b, "\n  ed25519_public: %s\n", strings.TrimSpace(string(s.HostKey.Public)))
		out["ssh_host_ed25519_key"], out["ssh_host_ed25519_key.pub"] = s.HostKey.Private, s.HostKey.Public
	}
	out["user-data"] = []byte(b.String())
	if len(s.Extra) > 0 {
		both, err := join(out["user-data"], s.Extra)
		if err != nil {
			return nil, err
		}
		out["user-data"] = both
	}
	if s.Program != "" {
		out["vendor-data"] = []byte(s.hook())
	}
	return out, nil
}

// hook is a script that cloud-init runs early at each boot: it starts the agent. It is not part of
// user-data, so no user-data replaces it.
func (s Seed) hook() string {
	return `#cloud-boothook
#!/bin/sh
test -e /run/hostler/agent && exit 0
mkdir -p /run/hostler/seed && chmod 700 /run/hostler || exit 1
mount -t iso9660 -o ro /dev/disk/by-label/cidata /run/hostler/seed || mount -t iso9660 -o ro LABEL=cidata /run/hostler/seed || exit 1
cp /run/hostler/seed/hostler-agent /run/hostler/agent && chmod 755 /run/hostler/agent
umount /run/hostler/seed
test -d /run/systemd/system && systemd-run --quiet --unit=hostler-agent --property=Restart=always --property=KillMode=process /run/hostler/agent ` + s.command() + ` && exit 0
setsid /run/hostler/agent ` + s.command() + ` </dev/null >/dev/null 2>&1 &
`
}

func (s Seed) command() string { return strings.Join(append(s.Words, guest.ServeWord), " ") }

// join joins several user-data into one, as the parts of a mail.
func join(all ...[]byte) ([]byte, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n", w.Boundary())
	for _, data := range all {
		kind := ""
		for start, k := range map[string]string{
			"#cloud-config": "cloud-config", "#!": "x-shellscript", "#cloud-boothook": "cloud-boothook",
			"#include": "x-include-url", "## template: jinja": "jinja2",
		} {
			if bytes.HasPrefix(data, []byte(start)) {
				kind = "text/" + k
			}
		}
		if kind == "" {
			return nil, errors.New("the seed is no user-data: it begins with neither of #! and #cloud-config")
		}
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {kind + "; charset=\"utf-8\""}})
		if err == nil {
			_, err = p.Write(data)
		}
		if err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// Write writes the disk.
func (s Seed) Write(path string) error {
	files, err := s.files()
	if err != nil {
		return err
	}
	w, err := iso9660.NewWriter()
	if err != nil {
		return err
	}
	defer w.Cleanup()
	for name, b := range files {
		if err := w.AddFile(bytes.NewReader(b), name); err != nil {
			return err
		}
	}
	if s.Program != "" {
		f, err := os.Open(s.Program)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := w.AddFile(f, "hostler-agent"); err != nil {
			return err
		}
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(w.WriteTo(out, "cidata"), out.Close())
}
