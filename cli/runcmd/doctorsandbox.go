package runcmd

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/check"
	"github.com/hostler-project/hostler/provider/sandbox/watch"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/text/visible"
)

// maxHidden is how many hidden paths are reported.
const maxHidden = 1000

// HiddenView is the document of `doctor --sandbox`.
type HiddenView struct {
	Source string       `json:"source"`
	Paths  []HiddenPath `json:"paths"`
	Line   string       `json:"line,omitempty"`
	More   int          `json:"more,omitempty"`
	Unread int          `json:"unread,omitempty"`
}

// HiddenPath is a path of this machine that a command looked for and that its sandbox does not
// show.
type HiddenPath struct {
	Path  string      `json:"path"`
	Place string      `json:"place,omitempty"`
	At    string      `json:"at,omitempty"`
	Cause string      `json:"cause"`
	Why   string      `json:"why"`
	Uses  []HiddenUse `json:"uses"`
	Line  string      `json:"line,omitempty"`
	Hint  string      `json:"hint"`
	show  string      // what `show` would have to name; "": that does not help
}

// HiddenUse is a program that looked for a path, and how.
type HiddenUse struct {
	Program string `json:"program"`
	Call    string `json:"call"`
	Times   int    `json:"times"`
}

// DoctorSandbox runs a command in a sandbox, and reports the hidden paths that it looked for.
func DoctorSandbox(a *cli.App, cmd *cobra.Command, words []string) error {
	ctx := cmd.Context()
	switch at := cmd.ArgsLenAtDash(); {
	case len(words) == 0:
		return fault.Invalid("hostler doctor --sandbox -- make test", "--sandbox is for a command, and there is none")
	case at < 0:
		return fault.Invalid("hostler doctor --sandbox -- "+strings.Join(words, " "), "put -- before the command")
	case at > 0:
		return fault.Invalid(
			"hostler doctor --sandbox -s SOURCE -- COMMAND", "with --sandbox, what stands before -- is no command: %q",
			words[0],
		)
	case words[0] == "":
		return cli.EmptyName("")
	}
	if _, err := a.Engine(ctx); err != nil {
		return err
	}
	if a.Remote != nil {
		return fault.Invalid("hostler --embedded doctor --sandbox -- COMMAND asks no controller",
			"a controller makes the sandboxes, and it alone knows what they hide")
	}
	name, err := a.SourceName()
	if err != nil {
		return err
	}
	source, err := a.Configured(name)
	if err == nil {
		err = host.ConfigError(check.FaultOf(source))
	}
	if err != nil {
		return err
	}
	if _, ok := leasecmd.HostRooted(a, name); !ok {
		return fault.Invalid(
			"hostler doctor --sandbox -s sandbox -- COMMAND",
			"the source %s makes no sandboxes of this machine's own root, so it hides nothing", name,
		)
	}
	o := &runOptions{verb: "doctor", given: givenFlags(cmd)}
	opt, err := o.request(a, ctx, "", words)
	if err != nil {
		return err
	}
	if a.JSON { // standard output is for the document
		opt.Stdout = a.Err
	}
	w := &watching{app: a}
	opt.Around = w.begin
	_, err = run.Run(ctx, &leasecmd.Backend{App: a, Flags: &o.acquire}, opt)
	return err
}

// watching watches the command of a run.
type watching struct {
	app *cli.App
}

// begin runs the command under a watcher, which is a copy of the agent in the sandbox. end reads
// and reports the watcher's file.
func (w *watching) begin(ctx context.Context, id compute.ID, conn compute.Conn, cmd *compute.Command) (end func(), err error) {
	program, err := host.FindAgent(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(program.Path)
	if err != nil {
		return nil, err
	}
	dir, remove, err := run.PutFile(ctx, conn, cmd.User, "hostler-agent", data)
	if err != nil {
		return nil, err
	}
	file := path.Join(dir, "report")
	program.Path = path.Join(dir, "hostler-agent")
	cmd.Args = append(program.Command(watch.Word, file, "--"), cmd.Args...)
	return func() {
		defer remove()
		if ctx.Err() != nil { // the user has stopped waiting
			return
		}
		view, err := w.report(ctx, id, conn, file)
		if err == nil {
			err = w.tell(view)
		}
		if errors.Is(err, compute.ErrNotFound) {
			err = errors.New("the watcher was ended before it wrote them")
		}
		if err != nil {
			w.app.Tell(fmt.Errorf("which hidden paths were looked for is not known: %w", err))
		}
	}, nil
}

// report reads the watcher's file, and returns what is hidden.
func (w *watching) report(ctx context.Context, id compute.ID, conn compute.Conn, file string) (*HiddenView, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*CheckTime)
	defer cancel()
	from, to := io.Pipe()
	go func() { _ = to.CloseWithError(conn.Get(ctx, file, to)) }()
	defer from.Close()
	archive := tar.NewReader(from)
	if _, err := archive.Next(); err != nil {
		return nil, err
	}
	r, err := watch.Read(archive)
	if err != nil {
		return nil, err
	}
	engine, err := w.app.Host.Engine(ctx)
	if err != nil {
		return nil, err
	}
	leaf, err := engine.Leaf(ctx, id)
	if err != nil {
		return nil, err
	}
	p, err := engine.Provider(ctx, leaf.Source)
	if err != nil {
		return nil, err
	}
	hidden, err := whyHidden(p, leaf.ID)
	if err != nil {
		return nil, err
	}
	view := &HiddenView{Source: leaf.Source, Paths: []HiddenPath{}, More: r.More, Unread: r.Unread}
	for _, l := range r.Lookups {
		if h, ok := hidden(string(l.Place), l.Empty); ok {
			h.Path = string(l.Path)
			view.add(h, &l)
		}
	}
	slices.SortStableFunc(view.Paths, func(a, b HiddenPath) int { return strings.Compare(a.Path, b.Path) })
	w.advise(view)
	return view, nil
}

// add adds a path, or another use of a path that is there under another spelling.
func (v *HiddenView) add(h HiddenPath, l *watch.Lookup) {
	if h.Place = string(l.Place); h.Place == path.Clean(h.Path) {
		h.Path, h.Place = h.Place, ""
	}
	i := slices.IndexFunc(v.Paths, func(old HiddenPath) bool { return old.Path == h.Path })
	switch {
	case i >= 0:
	case len(v.Paths) == maxHidden:
		v.More++
		return
	default:
		i = len(v.Paths)
		v.Paths = append(v.Paths, h)
	}
	for _, u := range l.Uses {
		v.Paths[i].Uses = append(v.Paths[i].Uses, HiddenUse(u))
	}
}

// within reports whether a reported path is in the directory of another one.
func (v *HiddenView) within(h *HiddenPath) bool {
	return slices.ContainsFunc(v.Paths, func(o HiddenPath) bool { return strings.HasPrefix(o.Path, h.Path+"/") })
}

// advise writes the source's line that shows all that may be shown.
func (w *watching) advise(view *HiddenView) {
	var all []string
	if s, err := w.app.Configured(view.Source); err == nil {
		for old := range strings.SplitSeq(s.Settings["show"], ",") {
			if old = strings.TrimSpace(old); old != "" {
				all = append(all, old)
			}
		}
	}
	before := len(all)
	for _, h := range view.Paths {
		// in a directory show only what was looked for
		if h.show != "" && !slices.Contains(all, h.show) && !view.within(&h) {
			all = append(all, h.show)
		}
	}
	if len(all) > before {
		view.Line = "show = " + strings.Join(all, ", ")
	}
}

// tell prints the result: a document on standard output, or text on standard error beside the
// command's output.
func (w *watching) tell(view *HiddenView) error {
	a := w.app
	if a.JSON {
		return a.PrintJSON(view)
	}
	var b strings.Builder
	switch {
	case len(view.Paths) > 0:
		fmt.Fprintf(&b, "hidden paths that the command looked for: %d\n", len(view.Paths))
	case view.More > 0 || view.Unread > 0:
		b.WriteString("of what was seen, the command looked for nothing that the sandbox hides\n")
	default:
		b.WriteString("the command looked for nothing that the sandbox hides\n")
	}
	for _, h := range view.Paths {
		fmt.Fprintf(&b, "\n%s\n", term.Line(h.Path))
		if h.Place != "" {
			fmt.Fprintf(&b, "  leads to  %s\n", term.Line(h.Place))
		}
		for _, u := range h.Uses {
			fmt.Fprintf(&b, "  by        %s: %s (%d)\n", term.Line(u.Program), term.Line(u.Call), u.Times)
		}
		why := h.Why
		if h.At != "" {
			why = h.At + ": " + why
		}
		fmt.Fprintf(&b, "  hidden    %s\n", term.Line(why))
		if h.Line != "" {
			fmt.Fprintf(&b, "  to show   %s\n", h.Line)
		}
		fmt.Fprintf(&b, "  hint      %s\n", h.Hint)
	}
	if view.Line != "" {
		fmt.Fprintf(
			&b, "\nall that `show` can show, in the section [sandbox] of %s:\n    %s\n", w.sourceFile(view.Source),
			term.Line(view.Line),
		)
	}
	if view.More > 0 {
		fmt.Fprintf(&b, "\nmore than could be kept: %d further lookups\n", view.More)
	}
	if view.Unread > 0 {
		fmt.Fprintf(&b, "\nnot seen: %d lookups of processes of other users inside, or with a path that cannot be read\n", view.Unread)
	}
	return term.Printf(a.Err, "%s", visible.Block(b.String()))
}

// sourceFile names the file that describes a source, or will.
func (w *watching) sourceFile(name string) string {
	if s, err := w.app.Configured(name); err == nil && s.File != "" {
		return s.File
	}
	return "a new ~/.config/hostler/sources/" + name + "/source.conf that begins with `type = sandbox`"
}

// shownAs returns how a source's keys name a path, and whether they can. Commas, comments and
// newlines would break it.
func shownAs(p string) (string, bool) {
	if home := os.Getenv("HOME"); filepath.IsAbs(home) && strings.HasPrefix(p, filepath.Clean(home)+"/") {
		p = "~" + strings.TrimPrefix(p, filepath.Clean(home))
	}
	return p, utf8.ValidString(p) && term.Line(p) == p && !strings.ContainsAny(p, ",;#\"'\\$:") && strings.TrimSpace(p) == p
}

// nameable returns the path, or the nearest directory above it that a source's key can name.
func nameable(p string) (as string, whole bool) {
	for dir := p; dir != "/"; dir = path.Dir(dir) {
		if as, ok := shownAs(dir); ok {
			return as, dir == p
		}
	}
	return "", false
}

// CheckTime is the time limit of a check.
const CheckTime = 10 * time.Second
