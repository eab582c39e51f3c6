package term

import (
	"bufio"
	"slices"
	"strings"
)

// CanAsk reports whether the user can be asked.
func (t *Terminal) CanAsk() bool {
	return !t.JSON && IsTerminal(t.In) && IsTerminal(t.Err)
}

// Confirm asks the user. Any answer but yes means no.
func (t *Terminal) Confirm(question string) bool {
	_ = Printf(t.Err, "%s [y/N] ", question)
	line, _ := bufio.NewReader(t.In).ReadString('\n')
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(line)))
}
