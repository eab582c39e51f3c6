package config

import (
	"context"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/config/secret"
)

// references are the kinds of reference. A text that begins with one is never a plain value, even
// where it cannot be resolved.
var references = []string{"env", "file", "command", "keyring"}

// reference splits "KIND:REST".
func reference(s string) (kind, rest string, ok bool) {
	kind, rest, ok = strings.Cut(s, ":")
	return kind, rest, ok && slices.Contains(references, kind)
}

// IsReference reports whether a text refers to a secret.
func IsReference(s string) bool {
	_, _, ok := reference(s)
	return ok
}

// Secret resolves a reference: env:NAME, a variable; file:PATH, a file; command:WORDS, a program's
// output; keyring:NAME, the entry of the service hostler in the user's keyring. A final line end is
// removed, except from a variable. WORDS are split as by a shell, but no shell runs. No error
// contains the secret.
func Secret(ctx context.Context, ref string) (string, error) {
	kind, rest, _ := strings.Cut(ref, ":")
	switch kind {
	case "env":
		v, ok := os.LookupEnv(rest)
		if !ok {
			return "", &Error{Key: ref, Msg: "there is no such variable"}
		}
		return v, nil
	case "file":
		f, err := os.OpenFile(rest, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return "", &Error{Key: ref, Err: withoutPath(err)}
		}
		defer f.Close()
		data, err := readRegular(f, maxFile)
		if err != nil {
			return "", &Error{Key: ref, Err: withoutPath(err)}
		}
		return chomp(data), nil
	case "command", "keyring":
		read := secret.Command
		if kind == "keyring" {
			read = secret.Keyring
		}
		out, err := read(ctx, rest, maxFile)
		if err != nil {
			return "", &Error{Key: ref, Err: err}
		}
		return chomp(out), nil
	}
	e := &Error{Msg: "is not a reference that is known; there are env:NAME, file:PATH, command:WORDS and keyring:NAME"}
	if slices.Contains(references, kind) { // otherwise it may be a secret by mistake
		e.Key = ref
	}
	return "", e
}

func chomp(b []byte) string { return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r") }

// Shown returns a setting's value as it may be printed. If its key sounds like a secret, a
// reference is shown and a plain value becomes "(hidden)".
func Shown(key, value string) string {
	k := foldKey(strings.ToLower(key))
	for _, w := range []string{
		"password", "passwd", "passphrase", "token", "secret", "credential", "private", "api_key", "access_key",
		"key_data",
	} {
		if strings.Contains(k, w) {
			if _, _, ok := reference(value); !ok && value != "" {
				return "(hidden)"
			}
			return value
		}
	}
	if strings.Contains(value, "PRIVATE KEY-----") {
		return "(hidden)"
	}
	return value
}
