package runcmd

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run/detachedruns"
	"github.com/hostler-project/hostler/run/runlog"
)

// runs returns the log of this user's runs on this machine, with or without a controller.
func runs() (*runlog.Log, error) {
	dir, err := host.StateDir()
	if err != nil {
		return nil, err
	}
	return &runlog.Log{Dir: filepath.Join(dir, "runs")}, nil
}

// notRecorded are options that say nothing of the run, or name what exists only now.
var notRecorded = []string{"key", "directory", "debug", "help", "json"}

// givenFlags returns the options of a command line, one word each, to give again. It leaves out the
// values of variables.
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

// tend starts recorders for held runs that have none.
func tend(a *cli.App, log *runlog.Log, all ...runlog.Record) {
	detachedruns.StartRecorders(log, func(run string, hide []string, known bool) error {
		return startRecorder(a, run, hide, known)
	}, all...)
}

// findRun finds a run by what was typed. Its error names the most similar one.
func findRun(name string) (runlog.Record, error) {
	log, err := runs()
	if err != nil {
		return runlog.Record{}, err
	}
	rec, err := log.Find(name)
	if e := (*compute.Error)(nil); errors.Is(err, compute.ErrNotFound) && errors.As(err, &e) {
		if hint := term.DidYouMean(name, log.IDs(), ""); hint != "" {
			e.Hint = hint
		}
	}
	return rec, err
}

// runOf finds a run by its own name, or the last one on what the name means.
func runOf(name string) (*runlog.Log, runlog.Record, error) {
	log, err := runs()
	if err != nil {
		return nil, runlog.Record{}, err
	}
	rec, err := findRun(name)
	if !errors.Is(err, compute.ErrNotFound) || name == runlog.Last {
		return log, rec, err
	}
	all, lerr := log.List()
	if lerr != nil {
		return log, rec, lerr
	}
	if i := slices.IndexFunc(all, func(r runlog.Record) bool { return r.On(name) }); i >= 0 {
		return log, all[i], nil
	}
	names := log.IDs()
	for _, r := range all {
		names = append(names, r.Name, r.Instance)
	}
	hint := term.DidYouMean(name, slices.DeleteFunc(names, func(s string) bool { return s == "" }), "")
	if hint == "" {
		hint = "hostler runs lists them"
	}
	return log, rec, &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound,
		Err: errors.New("no run of this id, and none on an instance or lease of this name"), Hint: hint,
	}
}
