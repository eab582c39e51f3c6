package login

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"
)

// plain returns user data uncompressed.
func plain(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	const most = 4 << 20
	out, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && len(out) > most {
		err = errors.New("uncompressed, it is too large")
	}
	return out, err
}

// joinUserData joins several parts. Scripts become one script that runs one after the other, which
// every image understands that runs scripts. Otherwise it is a MIME message, which only cloud-init
// understands.
func joinUserData(parts [][]byte) ([]byte, error) {
	scripts := true
	for _, b := range parts {
		scripts = scripts && bytes.HasPrefix(b, []byte("#!"))
	}
	switch {
	case len(parts) == 0:
		return nil, nil
	case len(parts) == 1:
		return parts[0], nil
	case !scripts:
		return multipartOf(parts)
	}
	var b bytes.Buffer
	b.WriteString("#!/bin/sh\n# of hostler: scripts, one after the other\nd=$(mktemp -d) || exit 1\ns=0\n")
	for i, script := range parts {
		end := fmt.Sprintf("END_OF_SCRIPT_%d", i)
		for bytes.Contains(script, []byte(end)) {
			end += "_"
		}
		fmt.Fprintf(
			&b, "cat >\"$d/%d\" <<'%s'\n%s\n%s\nchmod 700 \"$d/%d\"\n\"$d/%d\" || s=$?\n", i, end,
			bytes.TrimSuffix(script, []byte("\n")), end, i, i,
		)
	}
	b.WriteString("rm -rf \"$d\"\nexit $s\n")
	return b.Bytes(), nil
}

// multipartOf joins parts in cloud-init's MIME format. A part that is in no known format must be
// a MIME message with a Content-Type.
func multipartOf(parts [][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n", w.Boundary())
	for _, data := range parts {
		kind, body := kindOf(data), data
		if kind == "" {
			m, err := mail.ReadMessage(bytes.NewReader(data))
			if err != nil || m.Header.Get("Content-Type") == "" {
				return nil,
					errors.New(
						"it is in no form that can be joined with another: it begins with neither of #!, #cloud-config and Content-Type",
					)
			}
			kind = m.Header.Get("Content-Type")
			if body, err = io.ReadAll(m.Body); err != nil {
				return nil, err
			}
		}
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {kind}})
		if err == nil {
			_, err = part.Write(body)
		}
		if err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// kindOf returns a part's Content-Type by its first line, as cloud-init does. "" says that the
// line begins as none of them.
func kindOf(data []byte) string {
	for _, k := range [][2]string{
		{"#cloud-config", "cloud-config"}, {"#!", "x-shellscript"}, {"#cloud-boothook", "cloud-boothook"},
		{"#include", "x-include-url"}, {"## template: jinja", "jinja2"},
	} {
		if bytes.HasPrefix(data, []byte(k[0])) {
			return "text/" + k[1] + "; charset=\"utf-8\""
		}
	}
	return ""
}

// FirstBoot builds the user data of a computer's first boot from parts in cloud-init's formats.
// With hostKey it puts a script in front that installs a new ssh host key. It returns the public
// half as TYPE BASE64.
func FirstBoot(name string, hostKey bool, parts ...[]byte) (data []byte, public string, err error) {
	var all [][]byte
	for _, b := range parts {
		if len(bytes.TrimSpace(b)) == 0 {
			continue
		}
		if b, err = plain(b); err != nil {
			return nil, "", err
		}
		all = append(all, b)
	}
	if hostKey {
		var private []byte
		if private, public, err = newPair(name); err != nil {
			return nil, "", err
		}
		all = append([][]byte{hostKeyScript(private, public+" "+name)}, all...)
	}
	data, err = joinUserData(all)
	return data, public, err
}

// hostKeyScript returns a script that installs a server's ssh host key where sshd reads it: at the
// usual path, and at those that a running sshd names. It tells sshd.
func hostKeyScript(private []byte, public string) []byte {
	return []byte(`#!/bin/sh
# of hostler: the host key by which this server is known
umask 077
key='` + strings.TrimSpace(string(private)) + `'
put() { printf '%s\n' "$key" >"$1.new" && printf '%s\n' '` + public + `' >"$1.pub" && chmod 644 "$1.pub" && mv -f "$1.new" "$1"; }
if [ -d /etc/ssh ]; then put /etc/ssh/ssh_host_ed25519_key; fi
tries=100; if [ -d /run/systemd/system ]; then tries=1; fi
while [ $tries -gt 0 ]; do
	tries=$((tries - 1)); found=
	for d in /proc/[0-9]*; do
		case $(cat "$d/comm" 2>/dev/null) in sshd) ;; *) continue ;; esac
		line=$(tr '\000' ' ' <"$d/cmdline" 2>/dev/null)
		case $line in */sshd*listener*) ;; *) continue ;; esac # one that just starts would die of a HUP
		found=1
		conf=$(printf '%s\n' "$line" | sed -n 's/.* -f *\([^ ]*\).*/\1/p')
		if [ -n "$conf" ]; then
			for f in $(sed -n 's/^[[:space:]]*HostKey[[:space:]][[:space:]]*//p' "$conf"); do
				case $f in *rsa*|*dsa*) ;; *) put "$f" ;; esac
			done
		fi
		kill -HUP "${d#/proc/}"
	done
	if [ -n "$found" ]; then break; fi
	sleep 0.1 2>/dev/null || sleep 1
done
echo "hostler: the host key is in its place"
`)
}
