package promise

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

// Runner checks the promises of one partition, which run as the owner of its directory (runas.As).
type Runner struct {
	Dir      string        // the partition's
	Software string        // the directory of its software release
	Env      []string      // all of their environment (runas.Environ)
	Timeout  time.Duration // of each; 0: 20 seconds
	Config   Config
	Log      func(line string) // is never called twice at once; may be nil
}

// pass is one run over the promises.
type pass struct {
	*Runner
	home        *home.Dir
	user        *runas.User
	mode        Mode
	transaction string
	limit       time.Duration

	mu     sync.Mutex // also of Log
	python []string   // once it is known
	banged bool
}

// Run runs the due promises, or all with force, and returns the last result of each: plugins first,
// then executables, each kind by name. Failed promises are no error: see Failed.
//
// Several run at once, except plugins that look for anomalies, of which one at most may bang. A
// promise that takes too long is asked to end, and after a second killed with all that it started.
func (r *Runner) Run(ctx context.Context, mode Mode, force bool) ([]Result, error) {
	fail := func(err error) ([]Result, error) {
		return nil, &compute.Error{Op: "promise.Run", ID: compute.ID(r.Config.Partition), Kind: compute.ErrFailed, Err: err}
	}
	d, err := home.Open(r.Dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := find(d, r.logf)
	if err != nil {
		return fail(fmt.Errorf("its promises cannot be listed: %w", err))
	}
	p := &pass{Runner: r, home: d, mode: mode, limit: cmp.Or(max(r.Timeout, 0), defaultTimeout)}
	kept, err := openStateDir(d)
	if err != nil {
		return fail(err)
	}
	if kept != nil {
		defer kept.Close()
	}
	results := make([]*Result, len(all))
	var turn, free []int // those that run one after the other, and the others
	for i := range all {
		one := &all[i]
		if kept != nil {
			one.remember(d, kept)
		}
		switch due := one.due(time.Now(), mode, force); {
		case due && one.plugin && mode == Anomaly:
			turn = append(turn, i)
		case due:
			free = append(free, i)
		case one.countsIn(mode):
			results[i] = one.last
		}
	}
	if len(turn)+len(free) > 0 {
		if err := p.prepare(); err != nil {
			return fail(err)
		}
		p.all(ctx, all, turn, free, results)
	}
	if err := ctx.Err(); err != nil {
		return fail(context.Cause(ctx))
	}
	var out []Result
	for _, one := range results {
		if one != nil {
			out = append(out, *one)
		}
	}
	return out, nil
}

func (p *pass) logf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Runner.logf(format, args...)
}

func (r *Runner) logf(format string, args ...any) {
	if r.Log != nil {
		r.Log(fmt.Sprintf(format, args...))
	}
}

// prepare finds the user that promises run as, and makes the directories.
func (p *pass) prepare() (err error) {
	if p.user, err = runas.As(p.home.Owner()); err != nil {
		return err
	}
	for _, name := range []string{resultDir, logDir, cacheDir, historyDir} {
		if err := p.home.MakeDir(name, 0o755); err != nil {
			return err
		}
	}
	p.transaction = time.Now().UTC().Format("20060102150405") + "-" + rand.Text()[:8]
	return nil
}

// all runs the promises of some indexes.
func (p *pass) all(ctx context.Context, all []foundPromise, turn, free []int, results []*Result) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	do := func(i int) {
		if ctx.Err() != nil {
			return
		}
		p.logf("Checking promise %s...", all[i].name)
		results[i] = p.runPromise(ctx, &all[i])
	}
	wg.Go(func() {
		for _, i := range turn {
			do(i)
		}
	})
	for _, i := range free {
		slots <- struct{}{}
		wg.Go(func() {
			do(i)
			<-slots
		})
	}
	wg.Wait()
}

// runPromise runs a promise and stores its result; nil: it has no result in this mode.
func (p *pass) runPromise(ctx context.Context, o *foundPromise) *Result {
	r := o.result(p.home)
	r.Kind, r.Ran, r.Date = p.mode, true, time.Now()
	var said bool
	if o.plugin {
		said = p.plugin(ctx, o, &r)
	} else {
		p.script(ctx, o, &r)
		said = true
	}
	if ctx.Err() != nil {
		return nil
	}
	if r.Took == 0 {
		r.Took = time.Since(r.Date)
	}
	err := o.keepState(p.home, time.Now())
	if said {
		err = errors.Join(err, o.keep(p.home, &r))
	}
	if err != nil {
		p.logf("what promise %q said cannot be kept: %v", o.name, err)
	}
	if !said {
		return nil
	}
	return &r
}

// mark and part are by what a promise is known: others of its partition run beside it.
func (p *pass) mark() string { return runas.Partition(p.Config.Computer, p.Dir) }

func (o *foundPromise) mark() string {
	if o.plugin {
		return "plugin " + o.name
	}
	return "promise " + o.name
}

// script runs an executable.
func (p *pass) script(ctx context.Context, o *foundPromise, r *Result) {
	o.state.Tested, o.state.Anomaly, o.state.Period = true, true, defaultPeriod.Minutes()
	var out tail
	err := runas.Run(
		ctx,
		runas.Command{
			Argv: []string{r.Path}, Dir: p.Dir, Env: p.Env, User: p.user, Output: &out, Limit: p.limit, Polite: polite,
			Mark: p.mark(), Part: o.mark(),
		},
	)
	r.Message, r.Failed = last(out.String()), err != nil
	var exit *exec.ExitError
	switch {
	case errors.Is(err, runas.ErrLimit):
		r.Message = p.timedOut()
	case err != nil && !errors.As(err, &exit):
		r.Message = last("Error: " + reason(err))
	}
	if e := o.write(p.home, p.transaction, r); e != nil && ctx.Err() == nil {
		p.logf("the log of promise %q: %v", o.name, e)
	}
	o.failed = r.Failed
	r.Failed = r.Failed && (p.mode == Test || o.failedBefore(p.home, enough-1) == enough-1)
}

// reason is why something could not be run, without what ran it.
func reason(err error) string {
	if e := new(compute.Error); errors.As(err, &e) && e.Err != nil {
		err = e.Err
	}
	return err.Error()
}

func (p *pass) timedOut() string {
	return fmt.Sprintf("Error: Promise timed out after %g seconds", p.limit.Seconds())
}

// job is the input of runner.py, and answer its output.
type job struct {
	Config  map[string]any `json:"config"`
	Plugin  string         `json:"plugin"`
	Anomaly bool           `json:"anomaly"`
	Bang    bool           `json:"bang"`
}

type answer struct {
	Tested  bool    `json:"tested"`
	Anomaly bool    `json:"anomaly"`
	Period  float64 `json:"periodicity"`
	Ran     bool    `json:"ran"`
	Item    *status `json:"item"`
	Error   string  `json:"error"`
}

// plugin runs a plugin, and reports whether it said anything: it need not have a word to say in a
// mode.
func (p *pass) plugin(ctx context.Context, o *foundPromise, r *Result) bool {
	s := &o.state
	s.Tested, s.Anomaly, s.Period = true, true, 0 // until it says so itself
	python, err := p.interpreter()
	if err != nil {
		return p.recordFailure(o, r, "Error: it cannot be run: "+err.Error())
	}
	folder := func(name string) string { return p.Dir + "/" + name }
	config := map[string]any{
		"path": r.Path, "name": o.name, "partition-folder": p.Dir, "log-folder": folder(logDir), "debug": p.Config.Debug,
		"promise-timeout": p.limit.Seconds(),
		"master-url":      p.Config.Master, "partition-cert": p.Config.Cert, "partition-key": p.Config.Key,
		"partition-id": p.Config.Partition, "computer-id": p.Config.Computer,
		"slapgrid-version": p.Config.Version,
	}
	p.mu.Lock()
	bang := p.mode == Anomaly && !p.banged
	p.mu.Unlock()
	input, err := json.Marshal(job{Config: config, Plugin: r.Path, Anomaly: p.mode == Anomaly, Bang: bang})
	if err != nil {
		return p.recordFailure(o, r, "Error: "+err.Error())
	}
	var out head
	var printed tail
	err = runas.Run(
		ctx,
		runas.Command{
			Argv: append(python, "-I", "-c", runner), Dir: p.Dir, Env: p.Env, User: p.user, Input: input, Output: &out,
			Errors: &printed, Limit: p.limit, Polite: polite, Mark: p.mark(), Part: o.mark(),
		},
	)
	if errors.Is(err, runas.ErrLimit) {
		return p.recordFailure(o, r, p.timedOut())
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return p.recordFailure(o, r, "Error: "+reason(err))
	}
	var a answer
	if err != nil || json.Unmarshal(out.text, &a) != nil {
		message := "Error: No output returned by the promise"
		if text := last(printed.String()); text != "" {
			message += "\n" + text
		}
		return p.recordFailure(o, r, message)
	}
	if a.Tested || a.Anomaly {
		s.Tested, s.Anomaly, s.Period = a.Tested, a.Anomaly, a.Period
	}
	switch {
	case a.Error != "":
		return p.recordFailure(o, r, "Error: "+a.Error)
	case !a.Ran:
		return false
	case a.Item == nil || a.Item.Result == nil:
		return p.recordFailure(o, r, "Error: No output returned by the promise")
	}
	r.take(a.Item.Result)
	r.Kind, o.failed = p.mode, r.Failed
	if r.Failed && bang {
		p.mu.Lock()
		p.banged = true // it may have
		p.mu.Unlock()
	}
	return true
}

// recordFailure is a result of a promise that could not say anything itself, so that its log has
// nothing of it either.
func (p *pass) recordFailure(o *foundPromise, r *Result, message string) bool {
	r.Failed, r.Message, o.failed = true, last(message), true
	if err := o.write(p.home, p.transaction, r); err != nil {
		p.logf("the log of promise %q: %v", o.name, err)
	}
	return true
}

// interpreter is what plugins are run with: the release's, or, where the release has none of its
// own, the machine's.
func (p *pass) interpreter() ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.python != nil {
		return p.python[:len(p.python):len(p.python)], nil
	}
	words, err := interpreter(p.Software)
	if errors.Is(err, fs.ErrNotExist) {
		var path string
		if path, err = exec.LookPath("python3"); err != nil {
			return nil, errors.New("its software release has no bin/buildout that names an interpreter, and there is no python3 on PATH")
		}
		words = []string{path}
	}
	if err != nil {
		return nil, err
	}
	p.python = words
	return words[:len(words):len(words)], nil
}

// tail keeps the end of its input.
type tail struct{ text []byte }

func (t *tail) Write(b []byte) (int, error) {
	const most = 4 * maxMessage
	t.text = append(t.text, b...)
	if len(t.text) > 2*most {
		t.text = append(t.text[:0], t.text[len(t.text)-most:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return string(bytes.TrimSpace(t.text)) }

// head keeps the begin of its input.
type head struct{ text []byte }

func (h *head) Write(b []byte) (int, error) {
	const most = 1 << 20
	h.text = append(h.text, b[:min(len(b), max(0, most-len(h.text)))]...)
	return len(b), nil
}
