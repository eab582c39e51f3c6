package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/syntax"
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

// secretTimeout is how long a command may take to print a secret: enough to type a passphrase.
const secretTimeout = time.Minute

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
			return "", &Error{Key: ref, Err: bare(err)}
		}
		defer f.Close()
		data, err := readRegular(f, maxFile)
		if err != nil {
			return "", &Error{Key: ref, Err: bare(err)}
		}
		return chomp(data), nil
	case "command":
		words, err := split(rest)
		if err != nil {
			return "", &Error{Key: ref, Err: err}
		}
		out, err := output(ctx, words)
		if err != nil {
			return "", &Error{Key: ref, Err: err}
		}
		return chomp(out), nil
	case "keyring":
		out, err := fromKeyring(ctx, rest)
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

// split splits words as a shell does. Text that a shell would expand is an error.
func split(s string) ([]string, error) {
	var words []string
	var odd error
	var err error
	for w, e := range syntax.NewParser().WordsSeq(strings.NewReader(s)) {
		if err = e; err != nil {
			break
		}
		text, e := literal(w.Parts)
		if odd = e; odd != nil {
			break
		}
		words = append(words, text)
	}
	switch {
	case odd != nil:
		return nil, odd
	case err != nil:
		return nil, errors.New("its words cannot be told apart: is a quote missing?")
	case len(words) == 0 || words[0] == "":
		return nil, errors.New("names no program")
	}
	return words, nil
}

// literal returns the text of a word without quotes, or an error if a shell would expand it.
func literal(parts []syntax.WordPart) (string, error) {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(p.Value))
		case *syntax.SglQuoted:
			if p.Dollar {
				return "", errors.New("$'...' is for a shell, and none runs")
			}
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			for _, q := range p.Parts {
				lit, ok := q.(*syntax.Lit)
				if !ok {
					return "", errors.New("a shell would expand its words, and none runs")
				}
				b.WriteString(unescapeQuoted(lit.Value))
			}
		default:
			return "", errors.New("a shell would expand its words, and none runs")
		}
	}
	return b.String(), nil
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unescapeQuoted is unescape within double quotes, where a backslash is literal before most
// characters.
func unescapeQuoted(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\\\"$`", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// output runs a program and returns what it prints. If it fails, the error has its standard error.
func output(ctx context.Context, words []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, messages := &bounded{max: maxFile}, &bounded{max: 4096}
	cmd.Stdout, cmd.Stderr = out, messages
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		if said := strings.Join(strings.Fields(string(messages.kept)), " "); said != "" {
			err = fmt.Errorf("%w: %.300q", err, said)
		}
		return nil, err
	case out.over:
		return nil, errors.New("prints more than any secret has")
	}
	return out.kept, nil
}

// bounded keeps the first max bytes written to it. bytes.Buffer will not do: io.Copy would fill it
// past the limit.
type bounded struct {
	kept []byte
	max  int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.max - len(b.kept)
	if len(p) > room {
		b.over = true
	}
	b.kept = append(b.kept, p[:min(len(p), room)]...)
	return len(p), nil
}

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
