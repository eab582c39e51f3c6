package cloud

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// Host is a computer that ssh reaches. A zero field means what OpenSSH's configuration says; host
// keys are verified as OpenSSH does it.
type Host struct {
	Address    string // a name or alias, as for ssh; required
	User       string
	Key        string // a file with a private key
	ConfigFile string // read in place of OpenSSH's own configuration
	Timers     Timers
}

// NewServer wraps any host that ssh reaches. It belongs to no cloud, so Destroy only disconnects
// from it.
func NewServer(h Host) *Server {
	s := newServer(nil, h.Timers.complete(), record{Name: h.Address, IP: h.Address, Login: Login{User: h.User}, State: made})
	s.shell.line.open = func(ctx context.Context) (compute.Conn, error) {
		o := sshconn.Options{Host: h.Address, User: h.User, ConfigFile: h.ConfigFile}
		if h.Key != "" {
			o.IdentityFiles = []string{h.Key}
		}
		c, err := sshconn.Dial(ctx, o)
		if err != nil {
			return nil, err // not c: a typed nil is not nil
		}
		return c, nil
	}
	return s
}

// SSHClient returns the connection to the server, and opens it if there is none. It stays the
// server's: do not close it. A new server is tried for up to Timers.SSH; one that was reached
// before must answer at once.
func (s *Server) SSHClient(ctx context.Context) (compute.Conn, error) {
	return s.shell.line.connect(ctx)
}

// SSHSession checks that a session opens on the connection within Timers.Dial, and returns the
// connection.
func (s *Server) SSHSession(ctx context.Context) (compute.Conn, error) {
	return s.shell.line.session(ctx)
}

// shell runs commands on a server. While one runs, the server counts as used.
type shell struct {
	line *connection
	life *lifecycle
}

// use has the server count as used until ended is called.
func (sh *shell) use(op string) (ended func(), err error) {
	if err := sh.life.begin(); err != nil {
		return nil, sh.line.fail(op, compute.ErrNotFound, err)
	}
	return sh.life.ended, nil
}

// run runs a command and returns what it wrote.
func (sh *shell) run(ctx context.Context, op string, cmd *compute.Command) (string, string, error) {
	ended, err := sh.use(op)
	if err != nil {
		return "", "", err
	}
	defer ended()
	conn, err := sh.line.connect(ctx)
	if err != nil {
		return "", "", err
	}
	return sh.line.runOn(ctx, op, conn, cmd)
}

// ExitError says that a command ended with another status than 0.
type ExitError struct {
	Exit   compute.Exit
	Stderr string // the end of its output of errors
}

// Error has the status and the last words of the command.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("it ended with status %d", e.Exit.Status())
	if e.Exit.Signal != "" {
		text = "it was ended by signal " + e.Exit.Signal
	}
	if said := strings.TrimSpace(e.Stderr); said != "" {
		text += ": " + said
	}
	return text
}

// launch starts the command $1 so that it outlives the session, and watches it for a moment, so
// that an early failure is reported.
const launch = `s=; command -v setsid >/dev/null 2>&1 && s=setsid
nohup $s sh -c "$1" >/dev/null 2>&1 </dev/null & p=$!
sleep 1
if kill -0 $p 2>/dev/null; then echo $p; exit 0; fi
wait $p`

// RunCmd runs a line in the server's shell and returns its whole output. A status other than 0 is
// an ExitError. When ctx ends or the server is destroyed, the command is ended, and the error says
// so.
//
// In the background, the command goes on after RunCmd returns, and its output is dropped. stdout is
// its process id. A command that fails within its first second is an error.
func (s *Server) RunCmd(ctx context.Context, cmd string, background bool) (stdout, stderr string, err error) {
	args := []string{"sh", "-c", cmd}
	if background {
		args = []string{"sh", "-c", launch, "sh", cmd}
	}
	return s.shell.run(ctx, "RunCmd", &compute.Command{Args: args, Stay: background})
}

// tail returns the end of a text, for an error.
func tail(text string) string {
	const most = 2000
	if text = strings.TrimSpace(text); len(text) > most {
		text = "... " + text[len(text)-most:]
	}
	return text
}

// home is this process's home directory.
func home(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, rest), nil
}
