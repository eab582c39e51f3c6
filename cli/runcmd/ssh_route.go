package runcmd

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/remote/shell"
)

// Way says how ssh reaches instances through hostler.
type Way struct {
	words []string // the command without the name
	known string   // the file with our host key
	key   string   // the key itself, as in known_hosts
	Any   bool
}

// SshWay returns the Way with the options of this command.
func SshWay(a *cli.App) (*Way, error) {
	words, err := ownWords(a)
	if err != nil {
		return nil, err
	}
	w := &Way{words: words}
	key, known, err := hostKey()
	if err != nil {
		return nil, err
	}
	w.known, w.key = known, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	return w, nil
}

// ownWords returns the beginning of a hostler command with this command's options.
func ownWords(a *cli.App) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	words := []string{self}
	if c := cmp.Or(a.Flags.Controller, os.Getenv("HOSTLER_CONTROLLER")); c != "" {
		words = append(words, "--controller", c)
		// the command runs in another directory
		ca, err := cli.Absolute(cmp.Or(a.Flags.Ca, os.Getenv("HOSTLER_CA")))
		if err != nil {
			return nil, err
		}
		if ca != "" {
			words = append(words, "--ca", ca)
		}
	}
	if a.Flags.Embedded {
		words = append(words, "--embedded")
	}
	if a.Host.ConfigDir != "" {
		dir, err := filepath.Abs(a.Host.ConfigDir)
		if err != nil {
			return nil, err
		}
		words = append(words, "--config", dir)
	}
	return words, nil
}

// command returns the command that ssh runs to reach a name.
func (w *Way) command(name string) []string {
	out := append([]string{}, w.words...)
	out = append(out, "ssh-proxy")
	if w.Any {
		out = append(out, "--any")
	}
	return append(out, name)
}

// Options returns ssh's options for an instance's name, or for %n, the name that ssh was given.
func (w *Way) Options(name string) [][2]string {
	proxy := w.command(name)
	for i, word := range proxy {
		if word != "%n" {
			proxy[i] = strings.ReplaceAll(shell.Word(word), "%", "%%")
		}
	}
	return [][2]string{
		{"ProxyCommand", strings.Join(proxy, " ")}, {"User", SshUser}, {"HostKeyAlias", SshUser},
		{"UserKnownHostsFile", `"` + w.known + `"`},
		{"StrictHostKeyChecking", "yes"}, {"PubkeyAuthentication", "no"}, {"PasswordAuthentication", "no"},
		{"KbdInteractiveAuthentication", "no"},
	}
}

// lines returns the options as lines of a file.
func (w *Way) lines(name string) string {
	var b strings.Builder
	for _, o := range w.Options(name) {
		b.WriteString("\t" + o[0] + " " + o[1] + "\n")
	}
	return b.String()
}

// hostKey returns hostler's host key for ssh, and the known_hosts file with it. It makes them at
// first use.
func hostKey() (ssh.Signer, string, error) {
	state, err := host.StateDir()
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Join(state, "ssh")
	file, known := filepath.Join(dir, "host_key"), filepath.Join(dir, "known_hosts")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = newHostKey(dir, file); err == nil {
			text, err = os.ReadFile(file)
		}
	}
	if err != nil {
		return nil, "", err
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, "", &compute.Error{
			Kind: compute.ErrInvalid, Err: errors.New(file + ": not a key: " + err.Error()),
			Hint: "remove it; another is made",
		}
	}
	line := SshUser + " " + string(ssh.MarshalAuthorizedKey(key.PublicKey()))
	if old, err := os.ReadFile(known); err != nil || string(old) != line {
		if err := host.WriteFile(known, []byte(line)); err != nil {
			return nil, "", err
		}
	}
	return key, known, nil
}

// newHostKey makes the key, unless another process has.
func newHostKey(dir, file string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(secret, SshUser)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, block)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Link(f.Name(), file); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
