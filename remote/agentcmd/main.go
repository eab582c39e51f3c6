package agentcmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/process"
)

// Verb is what a first word does: it gets the words behind it, and returns the exit status.
type Verb func(args []string) int

// usage is what the program says of itself; agent.Program has the whole of it.
const usage = `usage: serve [--files=SOFT:HARD] [--stay] [--keep-env] [--owner] [--dir=DIR] [--work=DIR] [--work-others=DIR] [--daemon=NAME] [--cgroup=auto|alone|none|DIR|fd:N] [--oom=FILE|fd:N]
             stdio|fd:N|lent:N|unix:PATH|port:PATH|vsock:PORT
       init [--] COMMAND...
       copy FILE
       version
`

// Main runs a command line of which args are the words, without the program's own name, and returns
// the exit status. Verbs are those that other packages add; may be nil.
func Main(args []string, version string, verbs map[string]Verb) int {
	// there may be a thousand of us, with little to do each: memory counts for more than a
	// collection now and then
	debug.SetGCPercent(25)
	word := ""
	if len(args) > 0 {
		word = args[0]
	}
	if v := verbs[word]; v != nil {
		return v(args[1:])
	}
	var err error
	switch word {
	case "serve":
		err = serve(args[1:])
	case "init":
		return runInit(args[1:])
	case "reap":
		return process.Reap()
	case "copy":
		err = copySelf(args[1:])
	case "version":
		fmt.Printf("hostler-agent %s protocol %d\n", version, agent.Version)
	case "help", "-h", "--help":
		fmt.Print(usage)
	default:
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	return reportError(err)
}

// copySelf puts this program at a path, whole or not at all.
func copySelf(args []string) error {
	if len(args) != 1 {
		return invalid("copy takes one file")
	}
	from, err := os.Executable()
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(args[0]), ".hostler-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // which it is not, when all went well
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Chmod(0o755)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(out.Name(), args[0])
	}
	return err
}

// reportError says what went wrong, and returns the exit status of that.
func reportError(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "hostler-agent:", strings.ReplaceAll(err.Error(), "\n", "; "))
	if errors.Is(err, compute.ErrInvalid) {
		return 2
	}
	return 1
}

func invalid(format string, args ...any) error {
	return &compute.Error{Op: "agent", Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...)}
}
