package cli

import (
	_ "embed"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/deploy/oldconfig"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/observe/tracing"
)

// App is one command line: its streams and options, and what it has opened so far. It opens things
// only when they are needed. Only one goroutine may use it.
type App struct {
	term.Terminal
	// makes the whole tree of commands, for a command that runs another one
	Commands func(*App) *cobra.Command

	Host   *host.Host
	Compat bool // called by an old name
	Flags  globals

	Old       *oldconfig.Config    // provision's configuration, under its names; nil: none
	Converted *oldconfig.Converted // the same in hostler's terms

	// the controller in use; nil: the engine in this process
	Remote  *client.Client
	self    api.Self    // this user, as the controller knows it
	sources *sourceList // the controller's
	Machine bool        // it is the machine's controller
	chosen  bool        // it was named or signed in to
	Same    bool        // it has our configuration and our state

	Traces *tracing.Tracing // nil: no tracing

	warned bool // of what is odd in the configuration

	Began Began // where the process began, if it went to another directory

	// Within serves the engine of this process to this process, as a controller would: done waits
	// for open requests and ends that. nil: this program has no server.
	Within func(Engine) (c *client.Client, done func(), err error)
}

// NewApp returns the state of a command line that has these streams. It opens nothing.
func NewApp(in io.Reader, out, errs io.Writer) *App {
	a := &App{
		Terminal: term.NewTerminal(in, out, errs, "hostler"), Host: host.New(host.Options{LeaseIdle: IdleAcquired}),
		sources: &sourceList{},
	}
	a.Rename = AsCalled
	return a
}

// Began is the directory in which a process began. The zero Began knows of none.
type Began struct {
	dir  *os.File
	pwd  string // PWD there
	left bool   // for the directory of -C
}

// note notes the current directory.
func (b *Began) note() {
	if dir, err := os.Open("."); err == nil {
		b.dir, b.pwd = dir, os.Getenv("PWD")
	}
}

// Return goes back, for a program that replaces this one and reads the same command line.
func (b *Began) Return() {
	if b.dir == nil {
		return
	}
	_ = b.dir.Chdir()
	if b.pwd != "" {
		_ = os.Setenv("PWD", b.pwd)
	}
}

// Share returns an App for one of several runs at once. It shares what a has open, but writes
// elsewhere and reads no input. Closing its host closes only what the new App opened.
func Share(a *App, out, errs io.Writer) *App {
	b := *a
	b.In, b.Out, b.Err, b.Host = nil, out, errs, a.Host.Share()
	return &b
}

// The limits of leases unless an option or the source says otherwise.
const (
	IdleAcquired = 24 * time.Hour   // a lease of acquire ends when unused for so long
	TtlKept      = 2 * time.Hour    // a lease of run --keep or --name ends after that
	IdleKept     = 30 * time.Minute // or when unused for so long
	WaitDefault  = 10 * time.Minute // in the queue
)

// globals are the options of all commands.
type globals struct {
	Dir    string // -C
	Source string // -s, before or after the verb

	Controller string // --controller
	Embedded   bool   // --embedded
	Project    string // --project
	Ca         string // --ca
	Reason     string // --reason
}
