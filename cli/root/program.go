package root

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider/catalog"
)

// Program is what one program of hostler's consists of.
type Program struct {
	Manual   string // the text of `hostler help`
	Groups   []Group
	Former   []Former
	Kinds    catalog.Table  // of sources
	Registry image.Registry // knows registries of images
	// Whole replaces the process by the program that has everything, for command lines and
	// configurations that this one lacks something for. It returns only an error. nil: it lacks
	// nothing.
	Whole func(argv []string) error
	// Before is called once it is known that this program does the work itself; nil: nothing is to
	// be done
	Before func()
	// Compose adds to an App what not every program has; nil: nothing
	Compose func(*cli.App)
	// Words rewrites a command line before it is read; nil: it is read as it is
	Words func(args []string) []string
	// AsRun reports whether a command has run's exit statuses, not those of the kinds of errors
	AsRun func(cmd *cobra.Command) bool
}

// Group is commands that help lists together, under a title. Those without a group are hidden.
type Group struct {
	ID, Title string
	Commands  []func(*cli.App) *cobra.Command
}

// Former is a program that hostler takes over from: called by its name, it takes its command line.
type Former struct {
	Name string
	Run  func(ctx context.Context, a *cli.App, args []string) int
}

// Main runs one command line and returns the exit status. argv[0] selects the program whose command
// line it is.
func (p *Program) Main(argv []string, in io.Reader, out, errs io.Writer) int {
	a := cli.NewApp(in, out, errs)
	a.Host.Kinds, a.Host.Registry = p.Kinds, p.Registry
	if p.Compose != nil {
		p.Compose(a)
	}
	if p.Whole != nil {
		a.Host.Whole = func() error {
			a.Began.Return()
			return p.Whole(argv)
		}
		a.Host.Stays = p.Before
	}
	a.Commands = p.Tree
	defer a.Host.Close()
	name := strings.TrimSuffix(filepath.Base(argv[0]), ".exe")
	if p.Whole != nil && name != "hostler" { // perhaps a former program's
		return p.end(a, nil, argv[1:], a.Host.Whole())
	}
	if i := slices.IndexFunc(p.Former, func(f Former) bool { return f.Name == name }); i >= 0 {
		return p.Former[i].Run(context.Background(), a, argv[1:])
	}
	return p.run(context.Background(), a, argv[1:])
}

// Refuse tells why a command line is not run, and returns the exit status.
func (p *Program) Refuse(argv []string, why error, in io.Reader, out, errs io.Writer) int {
	a := cli.NewApp(in, out, errs)
	own, _, _ := cli.CutWords(argv, "--")
	a.JSON = slices.Contains(own, "--json")
	cmd, _, _ := p.Tree(a).Find(argv[1:])
	return p.end(a, cmd, argv[1:], why)
}
