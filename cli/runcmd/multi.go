package runcmd

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/multi"
	"github.com/hostler-project/hostler/run/session"
)

// runMany runs a command on several instances.
func runMany(a *cli.App, ctx context.Context, o *runOptions, name string, words []string) error {
	total, only, err := o.many.check(o, words)
	if err != nil {
		return err
	}
	source, err := manySource(a, ctx, name)
	if err != nil {
		return err
	}
	one := *o
	one.stdin, one.report = "none", ""
	opt, err := one.request(a, ctx, name, words)
	if err != nil {
		return err
	}
	if only > 0 {
		_, err := run.Run(ctx, &leasecmd.Backend{App: a, Flags: &o.acquire}, multi.Shard(opt, only, total))
		return err
	}
	return multi.Run(ctx, multi.Options{
		Run: opt, Source: source, Total: total, Together: o.many.on > 0, Parallel: o.many.parallel, FailFast: o.many.failFast,
		Backend: &leasecmd.Backend{App: a, Flags: &o.acquire, Several: true},
		Part: func(stdout, stderr io.Writer) (session.Backend, session.Printer, func()) {
			part := cli.Share(a, stdout, stderr)
			return &leasecmd.Backend{App: part, Flags: &o.acquire}, &part.Terminal, part.Host.Close
		},
		Print:       func(p *multi.Part, stream string, line []byte) error { return printLine(a, p, stream, line) },
		UntilSignal: a.UntilSignal,
		Finish: func(m *multi.Runs, err error) error {
			if len(m.Parts) == 0 {
				return a.Interrupted(err, "nothing was begun")
			}
			return finishMany(a, m, o.report, a.Interrupted(err, ""))
		},
	})
}

// manySource finds the source for several runs.
func manySource(a *cli.App, ctx context.Context, name string) (string, error) {
	if name != "" && a.Flags.Source == "" {
		a.Flags.Source = name
	}
	source, err := a.SourceName()
	if err != nil {
		return "", err
	}
	a.Host.LeaseIdle = cli.IdleKept
	engine, err := a.Engine(ctx)
	if err != nil || a.IsSource(source) {
		return source, err
	}
	if _, _, err := engine.Resolve(ctx, source); err == nil {
		return "", fault.Invalid("hostler source list", "%s is one instance, and several runs at once want a source", source)
	}
	return "", a.UnknownName(ctx, source)
}

// lineView is a line of a command's output, in --json of several runs and of logs.
type lineView struct {
	Index    int    `json:"index"`
	Instance string `json:"instance"`
	Stream   string `json:"stream"`
	Line     string `json:"line"`
}

// printLine prints a line of output after the label of its part.
func printLine(a *cli.App, p *multi.Part, stream string, line []byte) error {
	out := a.Out
	if stream == "stderr" && !a.JSON {
		out = a.Err
	}
	b := append([]byte(p.Label), line...)
	if a.JSON {
		doc, err := json.Marshal(lineView{p.Index, string(p.Runner.Session.Instance.ID), stream, string(line)})
		if err != nil {
			return err
		}
		b = doc
	}
	to, end := term.Displayed(out)
	_, err := to.Write(append(b, '\n'))
	return errors.Join(err, end())
}
