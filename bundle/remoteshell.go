package bundle

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// remoteShell runs our shell texts on the computer.
type remoteShell struct {
	conn  compute.Conn
	as    string
	state string
}

// newToken returns an unguessable word.
func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// command returns a command that runs a text of ours in a POSIX shell, after the common one. It
// runs as root unless as is set.
func (l *remoteShell) command(token, text string, stdin io.Reader, stdout, stderr io.Writer, args ...string) *compute.Command {
	as := l.as
	if as == "" {
		as = "root"
	}
	return &compute.Command{
		Args:  append([]string{"sh", "-c", bootScript, "hostler-bundle", commonScript + text, as, l.state, token}, args...),
		Stdin: stdin, Stdout: stdout, Stderr: stderr, Stay: true,
	}
}

// call runs a text to its end. If it fails, the error has its output of errors.
func (l *remoteShell) call(ctx context.Context, what, token, text string, stdin io.Reader, stdout io.Writer, args ...string) error {
	said := &tail{max: 4096}
	exit, err := l.conn.Run(ctx, l.command(token, text, stdin, stdout, said, args...))
	return refused(what, exit, err, said.String())
}

// refused makes an error of the exit of one of our texts.
func refused(what string, exit compute.Exit, err error, said string) error {
	if err == nil && exit.Status() == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if why, ok := strings.CutPrefix(line, "hostler-bundle: denied: "); ok {
			return &compute.Error{
				Kind: compute.ErrDenied, Err: fmt.Errorf("%s: %s", what, why),
				Hint: "let that user become root by sudo without a password, or apply what needs no root with --as self",
			}
		}
		if why, ok := strings.CutPrefix(line, "hostler-bundle: busy: "); ok {
			return &compute.Error{
				Kind: compute.ErrConflict, Err: fmt.Errorf("%s: another apply is at work on it: %s there", what, why),
				Hint: "wait for it, or look at what it does",
			}
		}
	}
	return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s: %s", what, lastWords(said, exit))}
}

// lastWords returns the last words of a failed command, or its status.
func lastWords(said string, exit compute.Exit) string {
	var out []string
	for line := range strings.Lines(said) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "hostler-bundle: ")
		if line != "" {
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		if exit.Signal != "" {
			return "it was ended by signal " + exit.Signal
		}
		return "it ended with status " + strconv.Itoa(exit.Code)
	}
	return strings.Join(out[max(0, len(out)-3):], "; ")
}

// tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	max  int
	kept []byte
	all  int64
}

// Write keeps the last max bytes, and counts all. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all += int64(len(p))
	if len(p) >= t.max {
		t.kept = append(t.kept[:0], p[len(p)-t.max:]...)
		return len(p), nil
	}
	if n := len(t.kept) + len(p) - t.max; n > 0 {
		t.kept = append(t.kept[:0], t.kept[n:]...)
	}
	t.kept = append(t.kept, p...)
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}

// frameReader takes the lines that say how scripts ended out of a session's output, and passes
// on the rest as it comes. It is safe for concurrent use.
type frameReader struct {
	mark  []byte
	ended chan string // gets how a script ended; buffered for one

	mu   sync.Mutex
	to   io.Writer // nil: nowhere
	held []byte
	all  int64 // how many bytes came
	bad  error // the first error of to, after which nothing is passed on
}

func newFrameReader(token string, to io.Writer) *frameReader {
	return &frameReader{to: to, mark: []byte("\x1e" + token + " "), ended: make(chan string, 1)}
}

// Write passes on output up to the mark. It holds back an end that may be the beginning of a
// mark, until the next write shows that.
func (f *frameReader) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all += int64(len(p))
	f.held = append(f.held, p...)
	for {
		i := bytes.Index(f.held, f.mark)
		if i < 0 {
			keep := min(len(f.held), len(f.mark)-1)
			for keep > 0 && !bytes.HasPrefix(f.mark, f.held[len(f.held)-keep:]) {
				keep--
			}
			f.pass(len(f.held) - keep)
			return len(p), nil
		}
		f.pass(i)
		word, rest, whole := bytes.Cut(f.held[len(f.mark):], []byte("\n"))
		if !whole {
			return len(p), nil
		}
		f.to, f.bad = nil, nil // output of processes that a script left running is dropped
		select {
		case f.ended <- string(word):
		default:
		}
		f.held = append(f.held[:0], rest...)
	}
}

func (f *frameReader) pass(n int) {
	if n > 0 && f.to != nil && f.bad == nil {
		_, f.bad = f.to.Write(f.held[:n])
	}
	f.held = append(f.held[:0], f.held[n:]...)
}

// begin passes on the following output to another writer. It returns how much came before.
func (f *frameReader) begin(to io.Writer) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to, f.bad = to, nil
	select {
	case <-f.ended:
	default:
	}
	return f.all - int64(len(f.held))
}

// close passes on what was held back, as no more comes.
func (f *frameReader) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pass(len(f.held))
	f.to = nil
}

// came returns how many bytes came.
func (f *frameReader) came() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}

// lostContact reports whether an error is about the way to the computer, so that a new connection
// may help.
func lostContact(err error) bool {
	return errors.Is(err, compute.ErrLost) || errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrDenied)
}
