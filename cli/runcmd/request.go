package runcmd

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/artifacts"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/session"
)

// request makes the options of a run from the command line and the configuration. It asks no
// engine.
func (o *runOptions) request(a *cli.App, ctx context.Context, name string, words []string) (opt run.Options, err error) {
	var settings runSettings
	if cfg, err := a.Host.Configuration(); err == nil { // otherwise its first use reports the error
		if settings, err = readRunSettings(cfg); err != nil {
			return opt, err
		}
	}
	opt = run.Options{
		Name: name, Args: words, Dir: o.dir, User: o.user, Timeout: o.timeout.Value, Stdout: a.Out, Stderr: a.Err,
		Signals: true, Stop: o.stop, Detach: o.detach, Verbose: o.verbose, Printer: &a.Terminal,
		Session: leasecmd.SessionOptions(a, &o.acquire, session.Options{
			Keep: o.keep, KeepFailed: o.keepFailed, Outlives: o.detach, Any: o.any, Describe: o.report != "",
		}, o.tty),
		Sync: o.sync.SyncOptions,
	}
	if o.scriptFile != "" {
		if o.shell {
			return opt, fault.Invalid("", "--script and -c both say what to run")
		}
		opt.ScriptName = filepath.Base(o.scriptFile)
		if opt.Script, err = readScript(o.scriptFile); err != nil {
			return opt, err
		}
	}
	if opt.Artifacts, err = o.artifacts.options(settings.results); err != nil {
		return opt, err
	}
	if err = o.checkDetach(words, opt.Artifacts.Any()); err != nil {
		return opt, err
	}
	if opt.Env, err = o.environment(ctx, settings.env.Allow); err != nil {
		return opt, err
	}
	o.warnUnset(a)
	if err = o.streams(a, &opt); err != nil {
		return opt, err
	}
	if err = o.addTree(a, &opt, settings.run.Sync && o.verb == "" && len(words) > 0); err != nil {
		return opt, err
	}
	opt.Collected = func(r *run.Runner, c *artifacts.Result) { tellCollected(a, r, c, o.artifacts.artifacts) }
	opt.Commanded = func(r *run.Runner, err error) { hintOfHome(a, r, err) }
	return opt, o.record(a, &opt, &settings.run)
}

// record sets how the run is recorded.
func (o *runOptions) record(a *cli.App, opt *run.Options, s *runSection) (err error) {
	r := &opt.Record
	r.Limits, r.NoOutput, r.Key = s.limits(), s.NoOutput, o.key
	r.As = runlog.Record{
		Verb: o.verb, Flags: o.given, Owner: a.Owner(), Version: version.Read().Version, Secrets: o.secrets,
	}
	r.Follow = func(run string, hide []string, known bool) error { return startRecorder(a, run, hide, known) }
	if r.Key != "" {
		r.Request = o.digest(opt)
	}
	if r.Log, err = runs(); err != nil && r.Key == "" {
		err = nil // a run without a record
	}
	return err
}

// hintOfHome adds a hint if a command failed that began in the home directory: a sandbox shows
// nothing there.
func hintOfHome(a *cli.App, r *run.Runner, err error) {
	var failed term.Exit
	if !errors.As(err, &failed) || !r.Session.Temporary || r.Bound != "" || r.Tree != nil || r.Dir != "" || a.Quiet ||
		a.Compat || !a.Here() {
		return
	}
	dir, e := os.Getwd()
	if _, rooted := leasecmd.HostRooted(a, r.Session.Instance.Source); e == nil && rooted && dir == path.Clean(os.Getenv("HOME")) {
		_ = term.Printf(r.Stderr, "hint: a sandbox does not show what lies in your home itself: work in a directory below it\n")
	}
}
