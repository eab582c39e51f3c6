package term

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"

	"github.com/hostler-project/hostler/compute/fault"
)

// ReadToken reads a token from the input. A terminal is asked for it, and does not show it.
func (t *Terminal) ReadToken() (string, error) {
	var text string
	if in, ok := t.In.(*os.File); ok && IsTerminal(in) {
		if err := Printf(t.Err, "token: "); err != nil {
			return "", err
		}
		b, err := xterm.ReadPassword(int(in.Fd()))
		_ = Printf(t.Err, "\n")
		if err != nil {
			return "", err
		}
		text = string(b)
	} else {
		line, err := bufio.NewReader(io.LimitReader(t.In, 64<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		text = line
	}
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text, " \t") {
		return "", fault.Invalid("hostler login --with-token URL <FILE", "what is on standard input is no token")
	}
	return text, nil
}
