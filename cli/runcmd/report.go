package runcmd

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/runlog"
)

// RunReport is the document of --report: one for each run, however it ended.
type RunReport struct {
	Run      string `json:"run,omitempty"` // its id
	Instance string `json:"instance,omitempty"`
	Source   string `json:"source,omitempty"`
	Lease    string `json:"lease,omitempty"`
	Begun    bool   `json:"begun"` // the command was started
	Exit     int    `json:"exit_status"`
	Signal   string `json:"signal,omitempty"` // the signal that ended the command
	Reason   string `json:"reason,omitempty"` // why, where that is known: "out of memory"
	// the error's kind, unless it is the command's own status
	Kind    string    `json:"kind,omitempty"`
	Error   string    `json:"error,omitempty"`
	Hint    string    `json:"hint,omitempty"`
	Started time.Time `json:"started"`
	// seconds before the command began: acquiring and connecting
	Before  float64    `json:"before"`
	Command float64    `json:"command"` // seconds of the command
	Phases  api.Phases `json:"phases"`  // of making the instance, even earlier

	Parts runlog.Phases `json:"run_phases"` // the parts of this run

	Tests     *runlog.Tests     `json:"tests,omitempty"`
	Artifacts []runlog.Artifact `json:"artifacts,omitempty"`
}

// reported writes the report of a run to a file, or to an open descriptor such as fd:3. It returns
// the error of the run.
func reported(name string, r *run.Result, err error) error {
	if name == "" {
		return err
	}
	if werr := writeDocument(name, viewRun(r, err)); werr != nil {
		return errors.Join(err, werr)
	}
	return err
}

// viewRun returns the report of a run that ended with err.
func viewRun(r *run.Result, err error) RunReport {
	rec := r.Record
	if e := r.Earlier; e != nil { // by its key
		return RunReport{
			Run: e.ID, Instance: e.Instance, Source: e.Source, Lease: e.Lease, Begun: true, Exit: *e.Exit, Signal: e.Signal,
			Reason: e.Reason, Kind: e.Kind, Error: e.Error, Started: e.Started, Command: e.Phases.Command, Parts: e.Phases,
			Tests: e.Tests, Artifacts: e.Artifacts, Phases: api.NewPhases(r.Instance.Phases),
		}
	}
	v := RunReport{
		Run: rec.ID, Instance: string(r.Instance.ID), Source: r.Instance.Source, Lease: r.Lease.ID, Exit: exitstatus.OfRun(err),
		Begun:   r.Exit != nil || errors.Is(err, compute.ErrLost) && !r.Begun.IsZero(),
		Started: r.Started, Phases: api.NewPhases(r.Instance.Phases), Parts: rec.Phases,
		Tests: rec.Tests, Artifacts: rec.Artifacts,
	}
	if !r.Begun.IsZero() {
		v.Before, v.Command = r.Begun.Sub(r.Started).Seconds(), r.Ended.Sub(r.Begun).Seconds()
	} else {
		v.Before = time.Since(r.Started).Seconds()
	}
	switch {
	case r.Exit != nil:
		v.Signal, v.Reason = r.Exit.Signal, r.Exit.Reason
	case err != nil:
		var told bool
		if v.Kind, told = exitstatus.KindOfRun(err); told {
			v.Begun = !r.Begun.IsZero()
		} else {
			v.Error, v.Hint = term.ErrorText(err), compute.Hint(err)
		}
	}
	return v
}

// writeDocument writes a JSON document to a file, or to an open descriptor such as fd:3; "" writes
// nothing.
func writeDocument(name string, v any) error {
	if name == "" {
		return nil
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if n, ok := strings.CutPrefix(name, "fd:"); ok {
		fd, perr := strconv.Atoi(n)
		if perr != nil || fd < 0 {
			return fault.Invalid("", "--report %s: not a descriptor", name)
		}
		f := os.NewFile(uintptr(fd), name)
		_, perr = f.Write(data)
		return term.FileError("--report", name, perr)
	}
	return term.FileError("--report", name, os.WriteFile(name, data, 0o600))
}
