package runcmd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
)

// runs is where runs are recorded, with or without a controller: they are those of this user on
// this machine.
func runs() (*runlog.Log, error) {
	dir, err := host.StateDir()
	if err != nil {
		return nil, err
	}
	return &runlog.Log{Dir: filepath.Join(dir, "runs")}, nil
}

// notRecorded are the options that say nothing of the run itself, or that name what is there only
// now.
var notRecorded = []string{"key", "directory", "debug", "help", "json"}

// givenFlags are the options of a command line, one word each, so that it can be given again. Of
// variables only the names are in it.
func givenFlags(cmd *cobra.Command) (out []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Changed || slices.Contains(notRecorded, f.Name) {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			if f.Name == "env" {
				v, _, _ = strings.Cut(v, "=")
			}
			if f.Name == "report" && strings.HasPrefix(v, "fd:") {
				continue
			}
			out = append(out, "--"+f.Name+"="+v)
		}
	})
	return out
}

// beginRecord records that a run begins, before anything is asked of anybody. That it cannot be
// recorded stops no run.
func (r *runner) beginRecord(name string) error {
	o := r.Opt
	rec := runlog.Record{
		Verb: cmp.Or(o.verb, "run"), Target: name, Args: append([]string{}, r.Words...), Flags: slices.Clone(o.given),
		Owner: r.App.Owner(), Started: r.started.Round(0),
		Version: version.Read().Version, Env: []string{}, Secrets: o.secrets, Key: o.key,
	}
	if rec.Directory, _ = os.Getwd(); rec.Directory != "" {
		rec.Head = gitHead(rec.Directory)
	}
	hidden := o.hide
	for _, list := range []*[]string{&rec.Args, &rec.Flags} {
		for i, w := range *list {
			(*list)[i] = redact.String(w, hidden)
		}
	}
	if r.part != nil {
		r.part(&rec)
	}
	log, err := runs()
	if err != nil {
		log = &runlog.Log{} // so that the run has an id
	}
	run, _ := log.Begin(rec)
	r.rec = &recording{Run: run, hidden: hidden, silent: r.settings.run.NoOutput || r.isShell()}
	if err == nil && run.Err() == nil && log.Due(run.ID()) {
		// the next one tries again
		r.rec.pruning.Go(func() { _, _ = log.Prune(context.Background(), r.settings.run.limits(), false) })
	}
	return r.bindKey()
}

// kindCancelled is the kind in the record of a run that was ended because another one of several
// had failed. It has not failed itself.
const kindCancelled = "cancelled"

// endRecord records how it ended. cause: why its context has ended, if it has.
func (r *runner) endRecord(err, cause error) {
	r.rec.pruning.Wait()
	if r.rec.left {
		return
	}
	r.noteLease()
	r.rec.End(func(rec *runlog.Record) {
		n := 0
		if err != nil {
			n = RunStatus(err)
		}
		rec.Exit, rec.Begun, rec.Phases = &n, !r.Begun.IsZero(), r.phases
		for _, out := range r.rec.outputs {
			switch out.name {
			case "stdout":
				rec.Bytes.Stdout = out.stream.Bytes()
			case "stderr":
				rec.Bytes.Stderr = out.stream.Bytes()
			}
		}
		var own term.Exit
		switch {
		case err != nil && errors.Is(cause, errCancelled):
			rec.Kind = kindCancelled
		case r.exit != nil:
			rec.Signal, rec.Reason = r.exit.Signal, r.exit.Reason
		case errors.As(err, &own):
			rec.Kind = ownKinds[own]
		case err != nil:
			rec.Kind, rec.Error = term.KindName(err), redact.String(term.ErrorText(err), r.rec.hidden)
		}
	})
	if r.Opt.verbose {
		rec := r.rec.Record()
		_ = term.Printf(
			r.App.Err, "%s: %s: ended with %s after %s; %s; run %s\n", r.App.Program, term.OrDash(rec.Instance), endOf(rec),
			took(rec), phaseWords(rec.Phases), rec.ID,
		)
	}
	if err := r.rec.Err(); err != nil && !r.Begun.IsZero() && !r.App.Quiet {
		_ = term.Printf(r.App.Err, "%s: the run goes on without its record: %v\n", r.App.Program, err)
	}
}

// keepIt tells whether what was acquired for this run stays, as it failed, and says what to do with
// it.
func (r *runner) keepIt(err error) bool {
	if err == nil || !r.Opt.keepFailed || !r.Temporary {
		return false
	}
	r.Temporary = false
	until := ""
	lease := r.Current()
	if end := lease.Deadline(); !end.IsZero() {
		until = " for " + term.TypedDuration(time.Until(end).Round(time.Second)) + " unless it is used"
	}
	name := cli.Handle(r.Lease)
	again := "hostler rerun " + r.rec.ID() + " --on " + name
	_ = term.Printf(
		r.App.Err, "%s: the command failed, and %s is kept%s:\n  hostler shell %s\n  %s\n  hostler release %s\n",
		r.App.Program, r.Instance.ID, until, name, again, name,
	)
	return true
}

// noteLease tells the record where the run is.
func (r *runner) noteLease() {
	r.rec.Note(func(rec *runlog.Record) {
		rec.Instance, rec.Source, rec.Lease, rec.Name = string(r.Instance.ID), r.Instance.Source, r.Lease.ID, r.Lease.Name
		rec.Kept = r.Lease.ID != "" && !r.Temporary
	})
}

// recordCommand records what is run, as it begins. Where the command is to be run once, by its key,
// it must not run if that cannot be recorded.
func (r *runner) recordCommand(env map[string]string) error {
	if r.rec == nil {
		return nil
	}
	r.noteLease()
	r.rec.Update(func(rec *runlog.Record) {
		rec.Begun, rec.Phases = true, r.phases
		for _, name := range slices.Sorted(maps.Keys(env)) {
			if !strings.HasPrefix(name, "HOSTLER_") {
				rec.Env = append(rec.Env, name)
			}
		}
	})
	if r.Opt.key == "" {
		return nil
	}
	return cannotRecord(r.rec.Sync())
}

// phase adds the time until it is called to a phase.
func phase(of *float64) func() {
	start := time.Now()
	return func() { *of += time.Since(start).Seconds() }
}

// output is what of a command's writing goes into the record.
type output struct {
	name   string
	stream *runlog.Stream
	to     *redact.Writer
}

// recording is a run's record while it is written.
type recording struct {
	*runlog.Run
	hidden  []string // values that are not recorded
	silent  bool     // nor what it writes
	outputs []*output
	left    bool           // another process has it now
	pruning sync.WaitGroup // of older records
}

// output returns a writer into the record; nil: nothing is recorded of it.
func (r *recording) output(name string) io.Writer {
	if r == nil || r.silent {
		return nil
	}
	s := r.Stream(name)
	out := &output{name, s, redact.NewWriter(s, r.hidden)}
	r.outputs = append(r.outputs, out)
	return out.to
}

// endOutputs records what was held back as the possible beginning of a secret.
func (r *recording) endOutputs() {
	for _, out := range r.outputs {
		_ = out.to.Close() // a stream takes all
	}
}

// join leads what the command writes to where ours goes, and into the record. bare: it gets our own
// terminal as it is, as commands of this machine do, and keeps the order of both outputs where
// these are one file.
func (r *runner) join(cmd *compute.Command, bare bool) {
	to := func(w io.Writer, name, known string) io.Writer {
		if bare && (r.rec == nil || term.IsTerminal(w)) {
			return w
		}
		also := r.rec.output(known)
		if bare && also == nil {
			return w
		}
		out := &written{to: w, name: name, also: also}
		r.written = append(r.written, out)
		return out
	}
	cmd.Stdout = to(r.App.Out, "standard output", "stdout")
	if _, taken := cmd.Stdout.(*written); taken && bare && sameFile(r.App.Out, r.App.Err) {
		cmd.Stderr = cmd.Stdout
		return
	}
	cmd.Stderr = to(r.App.Err, "standard error", "stderr")
}

// sameFile tells whether two streams are one.
func sameFile(a, b io.Writer) bool {
	f, ok := a.(*os.File)
	g, also := b.(*os.File)
	if !ok || !also {
		return false
	}
	one, err := f.Stat()
	other, err2 := g.Stat()
	return err == nil && err2 == nil && os.SameFile(one, other)
}

// id is what the command knows the run by.
func (r *runner) id() string {
	if r.rec == nil {
		return host.NewID()
	}
	return r.rec.ID()
}

// recorded is the id of its record; "": there is none.
func (r *runner) recorded() string {
	if r.rec == nil || r.rec.Err() != nil {
		return ""
	}
	return r.rec.ID()
}

// ownKinds are the kinds of the statuses that are told where they come about.
var ownKinds = map[term.Exit]string{term.ExitTimeout: "timeout", term.ExitMissing: "missing"}

// gitHead is the commit that is checked out in a directory, "" where there is none. No git is
// started for it.
func gitHead(dir string) string {
	for {
		at := filepath.Join(dir, ".git")
		info, err := os.Lstat(at)
		if err == nil && info.Mode().IsRegular() { // of a linked work tree, or a submodule
			text := readWord(at)
			rest, ok := strings.CutPrefix(text, "gitdir: ")
			if !ok {
				return ""
			}
			if at = rest; !filepath.IsAbs(at) {
				at = filepath.Join(dir, at)
			}
		}
		if err == nil {
			return readHead(at)
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
}

// readHead reads it out of a git directory.
func readHead(git string) string {
	head := readWord(filepath.Join(git, "HEAD"))
	ref, ok := strings.CutPrefix(head, "ref: ")
	if !ok {
		return commitName(head)
	}
	if !filepath.IsLocal(ref) {
		return ""
	}
	dirs := []string{git}
	if shared := readWord(filepath.Join(git, "commondir")); shared != "" {
		if !filepath.IsAbs(shared) {
			shared = filepath.Join(git, shared)
		}
		dirs = append(dirs, shared)
	}
	for _, dir := range dirs {
		if name := commitName(readWord(filepath.Join(dir, ref))); name != "" {
			return name
		}
	}
	for _, dir := range dirs {
		for line := range strings.Lines(readText(filepath.Join(dir, "packed-refs"), 16<<20)) {
			if name, r, _ := strings.Cut(strings.TrimSpace(line), " "); r == ref {
				return commitName(name)
			}
		}
	}
	return ""
}

// readWord reads a small file that has one line.
func readWord(file string) string { return strings.TrimSpace(readText(file, 4096)) }

// readText reads the first bytes of a file, of one that is no file none.
func readText(file string, most int64) string {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data, _ := io.ReadAll(io.LimitReader(f, most))
	return string(data)
}

// commitName returns a name of a commit, and "" for what is none.
func commitName(s string) string {
	if (len(s) != 40 && len(s) != 64) || strings.Trim(s, "0123456789abcdef") != "" {
		return ""
	}
	return s
}
