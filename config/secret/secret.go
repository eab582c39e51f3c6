// Package secret reads secrets from programs: any command, or the one that asks the user's keyring.
package secret

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// timeout is how long a command may take to print a secret: enough to type a passphrase.
const timeout = time.Minute

// Command runs a program and returns what it prints, which is an error beyond most bytes. The line
// is split into words as by a shell, but no shell runs.
func Command(ctx context.Context, line string, most int) ([]byte, error) {
	words, err := split(line)
	if err != nil {
		return nil, err
	}
	return output(ctx, words, most)
}

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

// unescape removes the backslash before each character, as a shell does outside quotes.
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
func output(ctx context.Context, words []string, most int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, messages := &bounded{max: most}, &bounded{max: 4096}
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
