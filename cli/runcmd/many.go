package runcmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/junit"
	"github.com/hostler-project/hostler/run/runlog"
)

// manyOptions say on how many instances a command runs at once.
type manyOptions struct {
	on, shards, parallel int
	failFast             bool
	shard                string // I/N
}

// mostAtOnce is the largest number that is taken at its word.
const mostAtOnce = 1000

func (m *manyOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&m.on, "on", 0, "run COMMAND on `N` instances of the source at once, all or none")
	f.IntVar(
		&m.shards, "shards", 0,
		"run COMMAND in `N` parts, each on an instance of its own; {{index}} and {{total}} in its words say which",
	)
	f.IntVar(&m.parallel, "max-parallel", 0, "no more than `N` of --shards at once")
	f.BoolVar(&m.failFast, "fail-fast", false, "with --on and --shards: the first that fails ends the others")
	f.StringVar(&m.shard, "shard", "", "run part `I/N` of --shards N alone")
}

// checkZero refuses none at all, which would be taken for an option that was not given.
func (m *manyOptions) checkZero(cmd *cobra.Command) error {
	for _, name := range []string{"on", "shards", "max-parallel"} {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "0" {
			return fault.Invalid("", "--%s 0: not from 1 to %d", name, mostAtOnce)
		}
	}
	return nil
}

// wanted reports whether a run is several.
func (m *manyOptions) wanted() bool {
	return m.on != 0 || m.shards != 0 || m.parallel != 0 || m.failFast || m.shard != ""
}

// check refuses what does not go together, and returns how many there are in all and, for one part
// alone, which.
func (m *manyOptions) check(o *RunOptions, words []string) (total, only int, err error) {
	asked := 0
	for _, is := range []bool{m.on != 0, m.shards != 0, m.shard != ""} {
		if is {
			asked++
		}
	}
	switch {
	case asked == 0:
		return 0, 0, fault.Invalid("", "--max-parallel and --fail-fast go with --shards N or --on N")
	case asked > 1:
		return 0, 0, fault.Invalid("", "--on, --shards and --shard: one of them")
	case m.parallel < 0 || m.parallel > 0 && m.shards == 0:
		return 0, 0, fault.Invalid("", "--max-parallel %d: it is a number above 0, and goes with --shards", m.parallel)
	case len(words) == 0:
		return 0, 0, fault.Invalid("", "several runs at once want a COMMAND")
	case o.tty, o.detach, o.stdin != "" && o.stdin != "none":
		return 0, 0, fault.Invalid("", "several runs at once take no -t, --detach and --stdin: they have no terminal and no input")
	case len(o.results.get) > 0:
		return 0, 0, fault.Invalid("--artifact brings each one's into its own record", "--get: several runs would write to the same file")
	case o.Want.Name != "":
		return 0, 0, fault.Invalid("", "--name %s: a name is for one instance", o.Want.Name)
	}
	if m.shard != "" {
		i, n, ok := strings.Cut(m.shard, "/")
		only, err1 := strconv.Atoi(i)
		total, err2 := strconv.Atoi(n)
		if !ok || err1 != nil || err2 != nil || only < 1 || only > total || total > mostAtOnce {
			return 0, 0, fault.Invalid("--shard 2/4", "--shard %q: not a part I/N, I from 1 to N", m.shard)
		}
		return total, only, nil
	}
	if total = max(m.on, m.shards); total < 1 || min(m.on, m.shards) < 0 || total > mostAtOnce {
		return 0, 0, fault.Invalid("", "%d at once: not from 1 to %d", cmp.Or(m.on, m.shards), mostAtOnce)
	}
	return total, 0, nil
}

// part is one of several runs.
type part struct {
	index  int // from 1
	label  string
	runner *runner
	state  string // of its report
	took   time.Duration
	err    error
}

// The states of a part.
const (
	partPassed      = "passed"
	partFailed      = "failed"
	partCancelled   = "cancelled"   // another one had failed
	partInterrupted = "interrupted" // we were: it was running, and did not end well
	partNot         = "not-begun"
)

var errCancelled = errors.New("another one failed")

// several is a command that runs on several instances.
type several struct {
	app   *cli.App
	opt   *RunOptions
	name  string // of the source
	asked string // the NAME that was given; "": none was
	words []string
	total int
	parts []*part
	lines *lines
	begun time.Time
	whole *runner  // whose record is that of all; nil: there is none
	seen  *outlook // the tree that goes along with all; nil: none does

	mu     sync.Mutex
	first  *part // the first that failed
	cancel context.CancelCauseFunc
}

// runMany runs a command on several instances.
func runMany(a *cli.App, ctx context.Context, o *RunOptions, name string, words []string) (err error) {
	total, only, err := o.many.check(o, words)
	if err != nil {
		return err
	}
	asked := name
	if name != "" && a.Flags.Source == "" {
		a.Flags.Source = name
	}
	if name, err = a.SourceName(); err != nil {
		return err
	}
	s := &several{app: a, opt: o, name: name, asked: asked, words: words, total: total, begun: time.Now(), lines: newLines(a)}
	a.Host.LeaseIdle = cli.IdleKept
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	if !a.IsSource(name) {
		if _, _, err := engine.Resolve(ctx, name); err == nil {
			return fault.Invalid("hostler source list", "%s is one instance, and several runs at once want a source", name)
		}
		return a.UnknownName(ctx, name)
	}
	if only > 0 {
		p := s.add(only)
		p.err = p.runner.whole(ctx, asked)
		return p.err
	}
	ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	s.whole = NewRunner(a, Task{Opt: o, Words: words})
	if err := s.whole.prepare(ctx); err != nil {
		return err
	}
	s.whole.beginRecord(asked)
	defer func() { s.whole.endRecord(err, nil) }()
	if err := s.whole.beginScan(ctx); err != nil {
		return err
	}
	defer s.whole.endScan()
	if s.whole.sending != nil {
		s.seen = s.whole.sending.outlook
		s.seen.forSeveral()
	}
	if o.many.on > 0 {
		err = s.together(ctx, engine)
	} else {
		err = s.apart(ctx)
	}
	s.lines.flush()
	if len(s.parts) == 0 {
		return err
	}
	return s.finish(err)
}

// add makes the run of a part.
func (s *several) add(index int) *part {
	own := map[string]string{}
	if s.opt.many.on == 0 {
		own["HOSTLER_SHARD"], own["HOSTLER_SHARDS"] = strconv.Itoa(index), strconv.Itoa(s.total)
	}
	o, a := *s.opt, *s.app // each opens what it needs, and shares what is open
	o.stdin, o.report, o.many = "none", "", manyOptions{}
	o.env = slices.Clone(s.opt.env)
	a.Host = a.Host.Share()
	p := &part{index: index, label: fmt.Sprintf("[%d/%d] ", index, s.total), state: partNot}
	// so that the part can be run again by itself
	o.given = slices.DeleteFunc(slices.Clone(s.opt.given), func(word string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		return slices.Contains([]string{"on", "shards", "shard", "max-parallel", "fail-fast", "report"}, name)
	})
	if s.opt.many.on == 0 {
		o.given = append(o.given, fmt.Sprintf("--shard=%d/%d", index, s.total))
	}
	p.runner = NewRunner(&a, Task{Opt: &o, Words: p.words(s), own: own, seen: s.seen, part: func(rec *runlog.Record) {
		if s.whole != nil && s.whole.rec != nil {
			rec.Parent = s.whole.rec.ID()
		}
		if s.opt.many.on == 0 {
			rec.Shard, rec.Shards = index, s.total
		}
	}})
	s.parts = append(s.parts, p)
	return p
}

// words are the command of a part.
func (p *part) words(s *several) []string {
	if s.opt.many.on > 0 {
		return s.words
	}
	r := strings.NewReplacer("{{index}}", strconv.Itoa(p.index), "{{total}}", strconv.Itoa(s.total))
	out := make([]string, len(s.words))
	for i, w := range s.words {
		out[i] = r.Replace(w)
	}
	return out
}

// together takes all instances at once, and runs on all of them.
func (s *several) together(ctx context.Context, engine cli.Engine) error {
	a := s.app
	if s.opt.Want.Start = s.opt.dir; s.seen != nil {
		s.opt.Want.Start = leasecmd.NoTree
	}
	req, err := leasecmd.Request(a, &s.opt.Want, s.name)
	if err != nil {
		return err
	}
	req.Count = s.total
	if !s.opt.keep {
		err = leasecmd.Bind(a, &req, os.Getpid())
	} else if req.TTL == 0 && a.SourceTTL(s.name) == 0 {
		req.TTL = cli.TtlKept
	}
	if err != nil {
		return err
	}
	leasecmd.DefaultIdle(a, &req, cli.IdleKept)
	asking, stop := a.UntilSignal(ctx)
	defer stop() // at the end: the runs take signals themselves
	asked := time.Now()
	leases, err := leasecmd.Take(a, asking, engine, req)
	if err != nil {
		return a.Interrupted(err, "nothing was begun")
	}
	req.Count = 1
	slices.SortFunc(leases, func(x, y compute.Lease) int { return compareNames(string(x.Instance), string(y.Instance)) })
	width := 0
	for _, l := range leases {
		width = max(width, len(cli.Handle(l)))
	}
	var all sync.WaitGroup
	for i := range leases {
		p := s.add(i + 1)
		p.label = fmt.Sprintf("%-*s| ", width, cli.Handle(leases[i]))
		p.runner.Given, p.runner.Engine, p.runner.Ordered, p.runner.OrderedAt = &leases[i], engine, &req, asked
		p.runner.Moved = func(l compute.Lease) { p.label = fmt.Sprintf("%-*s| ", width, cli.Handle(l)) }
		p.runner.Who = a.Who(ctx, engine, string(leases[i].Instance))
		p.runner.Who.Admin = s.opt.any
	}
	for _, p := range s.parts {
		if asking.Err() != nil {
			s.back(ctx, p)
			continue
		}
		all.Go(func() { s.run(ctx, p) })
	}
	all.Wait()
	return s.broken(ctx, asking)
}

// broken is the error of a user who wanted an end; that one of them failed is none.
func (s *several) broken(ctx, wanted context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return s.app.Interrupted(wanted.Err(), "")
}

// back gives back what was taken for a part that does not begin.
func (s *several) back(ctx context.Context, p *part) {
	if p.runner.Given != nil && p.runner.Obtain(ctx, "") == nil {
		p.runner.GiveBack(ctx)
	}
}

// compareNames orders names of instances: by their numbers, where that is all in which they differ.
func compareNames(x, y string) int {
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
}

// apart runs the parts as they get their instances.
func (s *several) apart(ctx context.Context) error {
	wanted, stop := s.app.UntilSignal(ctx) // those that have begun take it themselves
	defer stop()
	most := s.total
	if n := s.opt.many.parallel; n > 0 {
		most = min(most, n)
	}
	for i := range s.total {
		s.add(i + 1)
	}
	turns := make(chan struct{}, most)
	var all sync.WaitGroup
	for _, p := range s.parts {
		select {
		case turns <- struct{}{}:
		case <-wanted.Done():
		}
		if ctx.Err() != nil {
			p.state = partCancelled
			continue
		}
		if wanted.Err() != nil {
			break
		}
		all.Go(func() {
			s.run(ctx, p)
			<-turns
		})
	}
	all.Wait()
	return s.broken(ctx, wanted)
}

// run is a part from its beginning to its end.
func (s *several) run(ctx context.Context, p *part) {
	r := p.runner
	s.mu.Lock()
	late := s.first != nil && s.opt.many.failFast
	p.state = partPassed
	if late {
		p.state = partCancelled
	}
	s.mu.Unlock()
	if late {
		s.back(ctx, p)
		return
	}
	out, errs := s.lines.of(p, "stdout"), s.lines.of(p, "stderr")
	r.App.In, r.App.Out, r.App.Err = nil, out, errs
	begun := time.Now()
	err := r.whole(ctx, s.asked)
	r.App.Host.Close()
	if cancelled := errors.Is(context.Cause(ctx), errCancelled); err != nil && !cancelled && !errors.As(err, new(term.Exit)) {
		r.App.Tell(err)
	}
	p.took = time.Since(begun)
	out.end()
	errs.end()
	s.done(p, err, errors.Is(context.Cause(ctx), errCancelled))
}

// done notes how a part ended.
func (s *several) done(p *part, err error, cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.err = err
	switch {
	case err == nil:
	case cancelled && s.first != nil:
		p.state = partCancelled
	case p.runner.by() != "" && p.runner.Begun.IsZero():
		p.state = partNot
	case p.runner.by() != "": // the others have heard of it themselves
		p.state = partInterrupted
	default:
		p.state = partFailed
		if s.first == nil {
			s.first = p
			if s.opt.many.failFast {
				s.cancel(errCancelled)
			}
		}
	}
}

// partView is one of several runs in their report.
type partView struct {
	Index    int    `json:"index"`
	Run      string `json:"run,omitempty"` // its record
	Instance string `json:"instance,omitempty"`
	Lease    string `json:"lease,omitempty"`
	State    string `json:"state"` // passed, failed, cancelled, interrupted, not-begun
	Exit     int    `json:"exit_status"`
	// of the error, where it was not the command's own status
	Kind    string  `json:"kind,omitempty"`
	Error   string  `json:"error,omitempty"`
	Seconds float64 `json:"seconds"`
}

// manyView is the report of several runs.
type manyView struct {
	Source  string     `json:"source"`
	Started time.Time  `json:"started"`
	Seconds float64    `json:"seconds"`
	Exit    int        `json:"exit_status"`
	Runs    []partView `json:"runs"`
}

// status is the exit status of all: a problem of ours, the worst first; else what the commands that
// failed ended with, 1 where they do not agree.
func (s *several) status() int {
	ours := []int{term.ExitNotBegun, term.ExitLost, term.ExitTimeout}
	worst, agreed := len(ours), 0
	for _, p := range s.parts {
		n := p.exit()
		if p.state != partFailed || n == 0 {
			continue
		}
		if i := slices.Index(ours, n); i >= 0 && p.runner.exit == nil {
			worst = min(worst, i)
		}
		if agreed == 0 {
			agreed = n
		} else if agreed != n {
			agreed = -1
		}
	}
	switch {
	case worst < len(ours):
		return ours[worst]
	case agreed < 0:
		return 1
	}
	return agreed
}

func (p *part) exit() int {
	if p.err == nil {
		return 0
	}
	return RunStatus(p.err)
}

// tests adds up what the reports of tests say, for the record of all.
func (s *several) tests() {
	var sum junit.Report
	files := 0
	for _, p := range s.parts {
		if p.runner.back.report != nil {
			sum.Add(p.runner.back.report, strings.Trim(p.label, "| ")+" ")
			files += p.runner.back.reports
		}
	}
	if files == 0 {
		return
	}
	t := recordedTests(&sum, files)
	s.whole.keepReport(&sum, t)
	if !s.app.Quiet {
		_ = term.Printf(s.app.Err, "%s: %s\n", s.app.Program, testWords(t))
	}
}

// someOf are the first of many.
func someOf(words []string) string {
	if len(words) > 10 {
		words = append(slices.Clone(words[:10]), "...")
	}
	return strings.Join(words, "; ")
}

// finish says how all of them ended, by words and by the exit status.
func (s *several) finish(err error) error {
	v := manyView{Source: s.name, Started: s.begun, Seconds: time.Since(s.begun).Seconds(), Exit: s.status(), Runs: []partView{}}
	counts := map[string]int{}
	var bad, cut []string
	for _, p := range s.parts {
		counts[p.state]++
		if by := p.runner.by(); by != "" && p.state == partInterrupted {
			cut = append(cut, strings.Trim(p.label, "| "))
			if err == nil {
				err = &term.Interruption{Signal: by, Became: ""}
			}
		}
		one := partView{
			Index: p.index, Run: p.runner.recorded(), Instance: string(p.runner.Instance.ID), Lease: p.runner.Lease.ID,
			State: p.state, Exit: p.exit(), Seconds: p.took.Seconds(),
		}
		var own term.Exit
		if p.err != nil && !errors.As(p.err, &own) {
			one.Kind, one.Error = term.KindName(p.err), term.ErrorText(p.err)
		}
		v.Runs = append(v.Runs, one)
		if p.state == partFailed {
			bad = append(bad, strings.Trim(p.label, "| ")+" "+cmp.Or(one.Error, fmt.Sprintf("exit status %d", one.Exit)))
		}
	}
	var i *term.Interruption
	if errors.As(err, &i) {
		v.Exit = i.Status()
	} else if err != nil {
		v.Exit = RunStatus(err)
	}
	if !s.app.Quiet {
		words := []string{}
		for _, state := range []string{partPassed, partFailed, partInterrupted, partCancelled, partNot} {
			if n := counts[state]; n > 0 {
				words = append(words, fmt.Sprintf("%d %s", n, strings.ReplaceAll(state, "-", " ")))
			}
		}
		text := fmt.Sprintf("%s: %d runs: %s", s.app.Program, len(s.parts), strings.Join(words, ", "))
		if len(bad) > 0 {
			text += ": " + someOf(bad)
		}
		if len(cut) > 0 {
			text += ": interrupted while running: " + someOf(cut)
		}
		_ = term.Printf(s.app.Err, "%s\n", text)
	}
	s.tests()
	if s.app.JSON {
		doc, merr := json.Marshal(v)
		err = errors.Join(err, merr, term.Printf(s.app.Out, "%s\n", doc))
	}
	if rerr := writeDocument(s.opt.report, v); rerr != nil {
		return errors.Join(err, rerr)
	}
	if v.Exit != 0 {
		return term.Exit(v.Exit)
	}
	return err
}
