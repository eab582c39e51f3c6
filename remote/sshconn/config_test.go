package sshconn_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// says runs words and returns their output.
func says(t testing.TB, conn compute.Conn, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out, bad bytes.Buffer
	exit, err := conn.Run(ctx, &compute.Command{Args: words, Stdout: &out, Stderr: &bad})
	if err != nil || exit.Status() != 0 {
		t.Fatalf("%q: exit = %+v, err = %v, bad = %s; want no error and exit.Status() == 0", words, exit, err, bad.String())
	}
	return out.String()
}

const both = "Host *\n User root\n IdentityFile KEY\n IdentitiesOnly yes\n UserKnownHostsFile KNOWN\n GlobalKnownHostsFile /dev/null\n"

func TestSSHProxyJump(t *testing.T) {
	kv := sshLab(t)
	for name, text := range map[string]string{
		"one hop":  "Host first\n HostName LAB1\nHost second\n HostName LAB2\n ProxyJump first\n",
		"two hops": "Host second\n HostName LAB2\n ProxyJump user@LAB1:22,root@LAB1\n",
		"own jumps": "Host first\n HostName LAB1\nHost middle\n HostName LAB1\n ProxyJump first\nHost second\n " +
			"HostName LAB2\n ProxyJump middle\n",
		"proxy command": "Host second\n HostName LAB2\n ProxyCommand ssh -F CONFIG -W %h:%p root@LAB1\n",
		"none":          "Host second\n HostName LAB2\n ProxyJump none\n",
	} {
		t.Run(name, func(t *testing.T) {
			config := sshConfig(t, kv, text+both)
			b, _ := os.ReadFile(config)
			if err := os.WriteFile(config, bytes.ReplaceAll(b, []byte("CONFIG"), []byte(config)), 0o600); err != nil {
				t.Fatal(err)
			}
			conn := dialSSH(t, sshconn.Options{Host: "second", ConfigFile: config})
			from := strings.Fields(says(t, conn, "sh", "-c", "hostname; echo $SSH_CONNECTION"))
			if from[0] != "lab2" {
				t.Errorf("we came to %s", from[0])
			}
		})
	}
	t.Run("circle", func(t *testing.T) {
		config := sshConfig(t, kv, "Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
		_, err := sshconn.Dial(context.Background(), sshconn.Options{Host: "a", ConfigFile: config})
		if !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
	})
	t.Run("jump host down", func(t *testing.T) {
		config := sshConfig(t, kv, "Host first\n HostName LAB1\nHost second\n HostName LAB2\n ProxyJump first\n"+both)
		fault(t, 1, "refuse")
		_, err := sshconn.Dial(context.Background(), sshconn.Options{Host: "second", ConfigFile: config})
		if !errors.Is(err, compute.ErrUnavailable) || !strings.Contains(err.Error(), "jump host first") {
			t.Errorf("got %v, want one that names the jump host", err)
		}
	})
	t.Run("proxy command fails", func(t *testing.T) {
		config := sshConfig(t, kv, "Host x\n ProxyCommand echo no such way >&2; exit 3\n"+both)
		_, err := sshconn.Dial(context.Background(), sshconn.Options{Host: "x", ConfigFile: config})
		if !errors.Is(err, compute.ErrUnavailable) || !strings.Contains(err.Error(), "no such way") {
			t.Errorf("got %v, want what the command said", err)
		}
	})
}

func TestSSHIncludeAndMatch(t *testing.T) {
	kv := sshLab(t)
	more := sshConfig(t, kv, "Host one\n HostName LAB1\n")
	for name, text := range map[string]string{
		"include": "Include " + more + "\n",
		"match":   "Match originalhost one\n HostName LAB1\n",
		"exec":    "Match originalhost one exec \"test 1 = 1\"\n HostName LAB1\n",
		"quoted":  "Host=\"one\"\n\tHostName = \"LAB1\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialSSH(
				t,
				sshconn.Options{Host: "one", ConfigFile: sshConfig(t, kv, text+"\n"+strings.Replace(both, "Host *", "Match all", 1))},
			)
			if got := says(t, conn, "hostname"); got != "lab1\n" {
				t.Errorf("we came to %q", got)
			}
		})
	}
}

// serveAgent is an ssh agent with these keys.
func serveAgent(t *testing.T, keys ...any) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_ = agent.ServeAgent(ring, c)
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
		os.RemoveAll(dir)
	})
	return filepath.Join(dir, "s")
}

func TestSSHKeys(t *testing.T) {
	kv := sshLab(t)
	pem1, err := os.ReadFile(kv["key"])
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(pem1)
	if err != nil {
		t.Fatal(err)
	}
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(key.(*ed25519.PrivateKey), "", []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(t.TempDir(), "locked")
	if err := os.WriteFile(locked, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	const base = "Host one\n HostName LAB1\n User root\n UserKnownHostsFile KNOWN\n"
	good := func(name, text string) {
		t.Run(name, func(t *testing.T) {
			dialSSH(t, sshconn.Options{Host: "one", ConfigFile: sshConfig(t, kv, base+text)})
		})
	}
	good("rsa", " IdentityFile "+kv["key_rsa"]+"\n")
	good("certificate", " IdentityFile "+kv["cert_key"]+"\n")
	good("second file", " IdentityFile /no/such/file\n IdentityFile KEY\n")
	good("agent", " IdentityAgent "+serveAgent(t, key)+"\n IdentityFile /no/such/file\n")
	good("agent by public key", " IdentityAgent "+serveAgent(t, &other, key)+"\n IdentitiesOnly yes\n IdentityFile "+kv["key"]+".pub\n")
	if b, err := os.ReadFile(kv["key"] + ".pub"); err == nil {
		_ = os.WriteFile(locked+".pub", b, 0o600)
	}
	good("passphrase and agent", " IdentityAgent "+serveAgent(t, key)+"\n IdentitiesOnly yes\n IdentityFile "+locked+"\n")

	bad := func(name, text, hint string) {
		t.Run(name, func(t *testing.T) {
			_, err := sshconn.Dial(t.Context(), sshconn.Options{Host: "one", ConfigFile: sshConfig(t, kv, base+text)})
			if !errors.Is(err, compute.ErrDenied) || !strings.Contains(compute.Hint(err), hint) {
				t.Errorf("got %v (%s), want ErrDenied and %q", err, compute.Hint(err), hint)
			}
		})
	}
	bad("passphrase", " IdentityFile "+locked+"\n", "ssh-add "+locked)
	bad("not the agent's", " IdentityAgent "+serveAgent(t, key)+"\n IdentitiesOnly yes\n IdentityFile /no/such/file\n", "authorized_keys")
	bad("no key", " IdentityFile /no/such/file\n", "authorized_keys")
}

func TestSSHHostKeys(t *testing.T) {
	kv := sshLab(t)
	pub, err := os.ReadFile(filepath.Join(kv["root1"], "etc/ssh/ssh_host_ed25519_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(strings.Fields(string(pub))[:2], " ")
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	signer, _ := ssh.NewSignerFromKey(other)
	wrong := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	dir := t.TempDir()
	revoked, harmless, binary := dir+"/revoked", dir+"/harmless", dir+"/binary"
	for name, text := range map[string]string{
		revoked: "# x\n" + line + " comment\n", harmless: wrong + "\n", binary: "SSHKRL\n\x00\x00\x00\x00\x01",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, known, more string
		text, hint        string // of the error; "": it works
	}{
		{"plain", kv["host1"] + " " + line, "", "", ""},
		{"pattern", "127.77.*,!127.77.9.9 " + line, "", "", ""},
		{
			"several, odd lines",
			"# x\nnonsense\n" + kv["host1"] + " ssh-strange AAAA\n\n" + kv["host1"] + " " + wrong + "\n" + kv["host1"] + " " + line,
			"", "", "",
		},
		{"alias", "other.name " + line, " HostKeyAlias other.name\n", "", ""},
		{"unknown", "elsewhere " + line, "", "not known", "ssh-keyscan"},
		{"negated", kv["host1"] + ",!" + kv["host1"] + " " + line, "", "not known", "ssh-keyscan"},
		{"changed", "# x\n" + kv["host1"] + " " + wrong, "", "KH, line 2", "remove line 2 of KH"},
		{"changed, accept-new", kv["host1"] + " " + wrong, " StrictHostKeyChecking accept-new\n", "has changed", "remove line 1 of KH"},
		{"changed, no", kv["host1"] + " " + wrong, " StrictHostKeyChecking no\n", "", ""},
		{"revoked", "@revoked * " + line + "\n" + kv["host1"] + " " + line, "", "revoked", "new key"},
		{"revoked later", kv["host1"] + " " + line + "\n@revoked * " + line, "", "revoked", "new key"},
		{"revoked, no", kv["host1"] + " " + line + "\n@revoked * " + line, " StrictHostKeyChecking no\n", "revoked", "new key"},
		{
			"revoked by file", kv["host1"] + " " + line, " StrictHostKeyChecking no\n RevokedHostKeys " + revoked + "\n",
			"revoked in " + revoked + ", line 2", "new key",
		},
		{"another revoked", kv["host1"] + " " + line, " RevokedHostKeys " + harmless + "\n", "", ""},
		{"no such list", kv["host1"] + " " + line, " RevokedHostKeys /no/such/list\n", "/no/such/list", "or none"},
		{"binary list", kv["host1"] + " " + line, " RevokedHostKeys " + binary + "\n", "binary", "or none"},
		{"no list", kv["host1"] + " " + line, " RevokedHostKeys none\n", "", ""},
		{"accept-new", "", " StrictHostKeyChecking accept-new\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			known := filepath.Join(t.TempDir(), "known")
			if err := os.WriteFile(known, []byte(c.known+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			config := sshConfig(
				t, kv,
				"Host one\n HostName LAB1\n User root\n IdentityFile KEY\n GlobalKnownHostsFile /dev/null\n "+
					"UserKnownHostsFile "+known+"\n"+c.more,
			)
			conn, err := sshconn.Dial(t.Context(), sshconn.Options{Host: "one", ConfigFile: config})
			if err == nil {
				conn.Close()
			}
			text, hint := strings.ReplaceAll(c.text, "KH", known), strings.ReplaceAll(c.hint, "KH", known)
			switch {
			case text == "" && err != nil:
				t.Errorf("got %v, want it to work", err)
			case text != "" &&
				(!errors.Is(err, compute.ErrDenied) || !strings.Contains(err.Error(), text) || !strings.Contains(compute.Hint(err), hint)):
				t.Errorf("got %v (%s), want %q and %q", err, compute.Hint(err), text, hint)
			}
			if c.name == "accept-new" {
				if b, _ := os.ReadFile(known); !strings.Contains(string(b), kv["host1"]+" "+line) {
					t.Errorf("the new key was not noted down: %q", b)
				}
			}
		})
	}
	t.Run("pinned", func(t *testing.T) { // what the files know counts for nothing
		for pin, known := range map[string]string{line: wrong, wrong: line} {
			file := filepath.Join(t.TempDir(), "known")
			if err := os.WriteFile(file, []byte(kv["host1"]+" "+known+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			config := sshConfig(
				t, kv,
				"Host one\n HostName LAB1\n User root\n IdentityFile KEY\n GlobalKnownHostsFile /dev/null\n "+
					"StrictHostKeyChecking no\n UserKnownHostsFile "+file+"\n",
			)
			conn, err := sshconn.Dial(t.Context(), sshconn.Options{Host: "one", ConfigFile: config, HostKeys: []string{pin}})
			if err == nil {
				conn.Close()
			}
			if pin == line && err != nil ||
				pin == wrong && (!errors.Is(err, compute.ErrDenied) || !strings.Contains(err.Error(), "not the one that it was given")) {
				t.Errorf("pinned to %s: %v", pin, err)
			}
		}
	})
	t.Run("accept-new behind a line without an end", func(t *testing.T) {
		known := filepath.Join(t.TempDir(), "known")
		old := "elsewhere " + wrong
		if err := os.WriteFile(known, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		config := sshConfig(
			t, kv,
			"Host one\n HostName LAB1\n User root\n IdentityFile KEY\n GlobalKnownHostsFile none\n UserKnownHostsFile "+known+"\n StrictHostKeyChecking accept-new\n",
		)
		for range 2 {
			dialSSH(t, sshconn.Options{Host: "one", ConfigFile: config})
		}
		b, err := os.ReadFile(known)
		if lines := strings.Split(string(b), "\n"); err != nil || len(lines) != 3 || lines[0] != old ||
			lines[2] != "" || !strings.HasPrefix(lines[1], kv["host1"]+" ") {
			t.Errorf("it became %q, %v", b, err)
		}
	})
	t.Run("hashed", func(t *testing.T) {
		known := filepath.Join(t.TempDir(), "known")
		// HMAC-SHA1 of "[127.0.0.1]:2222"-like names is OpenSSH's to make: have its program hash
		// ours.
		if err := os.WriteFile(known, []byte(kv["host1"]+" "+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := command("ssh-keygen", "-H", "-f", known); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		b, _ := os.ReadFile(known)
		if !strings.HasPrefix(string(b), "|1|") {
			t.Fatalf("not hashed: %s", b)
		}
		dialSSH(t, sshconn.Options{Host: "one", ConfigFile: sshConfig(t, kv,
			fmt.Sprintf(
				"Host one\n HostName LAB1\n User root\n IdentityFile KEY\n GlobalKnownHostsFile /dev/null\n UserKnownHostsFile %s\n",
				known,
			))})
	})
}
