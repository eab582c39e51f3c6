package shell

import (
	"bytes"
	"io"
	"strconv"
	"sync"
)

// WithExitMark makes a script of Line run below its shell. The shell then says in each stream
// that the end is reached, and with which status: "\x1e NONCE E STATUS \x1e", without the spaces
// around it. It is for transports that do not tell a stream's end from a cut one. The nonce is
// not Line's. With empty the command's input is empty, whatever is sent.
//
// The shell stays until its own input ends, in a terminal until two seconds pass with nothing
// typed, as some transports lose what they carry when the program ends. The reader of the ends
// hangs up.
//
// The shell outlives what is sent to its group, but for KILL and STOP: those are for the command
// alone, whose number "S PID GROUP" has for a third where there is /proc.
func WithExitMark(line, nonce string, tty, empty bool) string {
	words := `"\036%s E %s\036" ` + nonce + " $_hl_s"
	// by number, as shells differ in names
	s := "trap : 1 2 3 4 5 6 7 8 10 11 12 13 14 15 20 21 22 24 25 26 27 29 30 31;" +
		"exec 3>&2 2>/dev/null;" + // shells tell of signals there
		`({ read -r _hl_t </proc/self/stat&&_hl_t=" ${_hl_t%% *}"||_hl_t=;} 2>/dev/null;` + line + ")2>&3 3>&-"
	if empty {
		s += " </dev/null"
	}
	s += ";_hl_s=$?;printf " + words
	if tty {
		s += ";stty -echo -icanon min 0 time 20&&read -r _hl_l"
	} else {
		s += ";printf " + words + " >&3;while read -r _hl_l;do :;done"
	}
	return s + ";exit $_hl_s"
}

// ExitMark takes the words of WithExitMark off an output. What comes behind them, from processes
// that were left there, is dropped. Nothing is held back but what may be the words' beginning.
type ExitMark struct {
	Nonce string
	W     io.Writer
	Ended func(status int) // called once, when all before the words has been written

	mu   sync.Mutex
	held []byte
	over bool
}

// longestEnd bounds what is behind the nonce: a status has three digits.
const longestEnd = 5

// Write passes output on, up to the words of WithExitMark.
func (e *ExitMark) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return len(b), nil
	}
	mark, text := []byte(mark+e.Nonce+" E "), b
	if len(e.held) > 0 {
		text = append(e.held, b...)
		e.held = nil
	}
	for from := 0; ; {
		at := bytes.IndexByte(text[from:], mark[0])
		if at < 0 {
			return len(b), e.pass(text)
		}
		at += from
		rest := text[at:]
		switch {
		case len(rest) < len(mark) && bytes.HasPrefix(mark, rest): // may become one
		case !bytes.HasPrefix(rest, mark):
			from = at + 1
			continue
		default:
			n := bytes.IndexByte(rest[len(mark):], mark[0])
			if status, err := strconv.Atoi(string(rest[len(mark) : len(mark)+max(n, 0)])); err == nil {
				e.over = true
				err = e.pass(text[:at])
				e.Ended(status)
				return len(b), err
			}
			if n >= 0 || len(rest) > len(mark)+longestEnd {
				from = at + 1
				continue
			}
		}
		e.held = append([]byte(nil), rest...)
		return len(b), e.pass(text[:at])
	}
}

func (e *ExitMark) pass(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := e.W.Write(b)
	return err
}

// Stop writes what was held back, when no more comes. Nothing is written after that.
func (e *ExitMark) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		_ = e.pass(e.held)
		e.held, e.over = nil, true
	}
}
