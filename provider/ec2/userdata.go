package ec2

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"os"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// userDataMost is EC2's limit in bytes, before base64.
const userDataMost = 16 << 10

// ownMost is the part of it that we need.
const ownMost = 2 << 10

var _ provider.UserDataTaker = (*Provider)(nil)

// UserDataLimit returns EC2's limit without our part and the source's file.
func (p *Provider) UserDataLimit() int {
	limit := userDataMost - ownMost
	if p.o.UserData != "" {
		if info, err := os.Stat(p.o.UserData); err == nil {
			limit -= int(min(info.Size(), userDataMost)) + 256
		}
	}
	return max(limit, 1)
}

// userData returns all user data of an instance: that of the source and of the request, followed by
// the keys. Equal input must give equal bytes, as a repeated launch with other user data would be
// another request.
func (l *launcher) userData(spec compute.Spec) ([]byte, error) {
	var all [][]byte
	if l.o.UserData != "" {
		b, err := os.ReadFile(l.o.UserData)
		if err != nil {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err, Hint: "see user-data in the source"}
		}
		all = append(all, b)
	}
	if len(spec.UserData) > 0 {
		all = append(all, spec.UserData)
	}
	own, err := l.ownUserData(spec.ID)
	if err != nil {
		return nil, err
	}
	if own != nil {
		all = append(all, own)
	}
	var out []byte
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		out = all[0]
	default:
		if out, err = join(all); err != nil {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
	}
	if len(out) > userDataMost {
		var small bytes.Buffer
		w := gzip.NewWriter(&small)
		_, err := w.Write(out)
		if err = errors.Join(err, w.Close()); err != nil {
			return nil, err
		}
		out = small.Bytes()
	}
	if len(out) > userDataMost {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf(
			"the user data has %d bytes with all that belongs to it, compressed, and EC2 takes %d", len(out),
			userDataMost,
		),
			Hint: "have it fetch the larger part"}
	}
	return out, nil
}

// ownUserData returns the part with the log-in key and the host's key. nil: nothing.
func (l *launcher) ownUserData(id compute.ID) ([]byte, error) {
	var b strings.Builder
	b.WriteString(
		"#cloud-config\nmerge_how:\n  - {name: list, settings: [append]}\n  - {name: dict, settings: [no_replace, recurse_list]}\n",
	)
	empty := b.Len()
	login, err := l.keys.Login()
	if err != nil {
		return nil, err
	}
	if login != "" {
		if l.o.User == "root" {
			b.WriteString("disable_root: false\n")
		}
		fmt.Fprintf(&b, "ssh_authorized_keys:\n  - %s\n", login)
	}
	if l.o.HostKey == "user-data" {
		key, err := l.keys.Host(id)
		if err != nil {
			return nil, err
		}
		private := strings.ReplaceAll(strings.TrimSpace(string(key.Private)), "\n", "\n    ")
		fmt.Fprintf(&b, "ssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n    %s\n  ed25519_public: %s\n", private, key.Public)
	}
	if b.Len() == empty {
		return nil, nil
	}
	return []byte(b.String()), nil
}

// join joins several parts of user data to a MIME message.
func join(all [][]byte) ([]byte, error) {
	for i, data := range all {
		if r, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
			plain, err := io.ReadAll(io.LimitReader(r, 1<<20))
			if err != nil {
				return nil, fmt.Errorf("the user data is compressed, and cannot be read: %w", err)
			}
			all[i] = plain
		}
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	sum := sha256.New()
	for _, data := range all {
		sum.Write(data)
	}
	if err := w.SetBoundary(fmt.Sprintf("hostler-%x", sum.Sum(nil)[:16])); err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\r\nMIME-Version: 1.0\r\n\r\n", w.Boundary())
	for _, data := range all {
		kind := kindOf(data)
		if kind == "" {
			return nil,
				errors.New(
					"the user data cannot be joined with what hostler says: it begins with neither of #cloud-config, #! and what else cloud-init knows a part by",
				)
		}
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {"text/" + kind + "; charset=\"utf-8\""}})
		if err == nil {
			_, err = part.Write(data)
		}
		if err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// kindOf returns the type that cloud-init gives to user data by its beginning. "": none.
func kindOf(data []byte) string {
	for _, k := range []struct{ begin, kind string }{
		{"#cloud-config-archive", "cloud-config-archive"}, {"#cloud-config", "cloud-config"}, {"#!", "x-shellscript"},
		{"#cloud-boothook", "cloud-boothook"},
		{"#include-once", "x-include-once-url"}, {"#include", "x-include-url"}, {"#part-handler", "part-handler"},
		{"## template: jinja", "jinja2"},
	} {
		if bytes.HasPrefix(data, []byte(k.begin)) {
			return k.kind
		}
	}
	return ""
}
