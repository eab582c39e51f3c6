package runcmd

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/runlog"
)

// RunReport is what --report writes: one document for each run, whatever became of it.
type RunReport struct {
	Run      string `json:"run,omitempty"` // its id
	Instance string `json:"instance,omitempty"`
	Source   string `json:"source,omitempty"`
	Lease    string `json:"lease,omitempty"`
	Begun    bool   `json:"begun"` // the command was started
	Exit     int    `json:"exit_status"`
	Signal   string `json:"signal,omitempty"` // that ended the command
	Reason   string `json:"reason,omitempty"` // why, where that is known: "out of memory"
	// of the error, where it was not the command's own status
	Kind    string    `json:"kind,omitempty"`
	Error   string    `json:"error,omitempty"`
	Hint    string    `json:"hint,omitempty"`
	Started time.Time `json:"started"`
	// seconds until the command began: obtaining and connecting
	Before  float64             `json:"before"`
	Command float64             `json:"command"` // seconds that it ran
	Phases  leasecmd.PhasesView `json:"phases"`  // of making the instance, whenever that was

	Parts runlog.Phases `json:"run_phases"` // the parts of this run

	Tests     *runlog.Tests     `json:"tests,omitempty"`
	Artifacts []runlog.Artifact `json:"artifacts,omitempty"`
}

// writeReport writes the record of a run to a file, or to a descriptor that is open already: fd:3.
func writeReport(a *cli.App, name string, r *runner, err error) error {
	if name == "" {
		return nil
	}
	v := RunReport{
		Instance: string(r.Instance.ID), Source: r.Instance.Source, Lease: r.Lease.ID, Exit: RunStatus(err), Started: r.started,
		Phases: leasecmd.ViewPhases(r.Instance.Phases),
		Begun:  r.exit != nil || errors.Is(err, compute.ErrLost) && !r.Begun.IsZero(), Parts: r.phases,
	}
	if err == nil {
		v.Exit = 0
	}
	if r.rec != nil {
		rec := r.rec.Record()
		v.Run, v.Tests, v.Artifacts = rec.ID, rec.Tests, rec.Artifacts
	}
	if rec := r.told; rec != nil { // by its key
		v.Run, v.Tests, v.Artifacts, v.Instance, v.Source, v.Lease = rec.ID, rec.Tests, rec.Artifacts, rec.Instance, rec.Source, rec.Lease
		v.Begun, v.Exit, v.Signal, v.Reason, v.Kind, v.Error, v.Started, v.Command, v.Parts = true, *rec.Exit, rec.Signal, rec.Reason,
			rec.Kind, rec.Error, rec.Started, rec.Phases.Command, rec.Phases
		return writeDocument(name, v)
	}
	if !r.Begun.IsZero() {
		v.Before, v.Command = r.Begun.Sub(r.started).Seconds(), r.ended.Sub(r.Begun).Seconds()
	} else {
		v.Before = time.Since(r.started).Seconds()
	}
	var own term.Exit
	switch {
	case r.exit != nil:
		v.Signal, v.Reason = r.exit.Signal, r.exit.Reason
	case errors.As(err, &own):
		v.Begun = !r.Begun.IsZero()
		v.Kind = ownKinds[own]
	case err != nil:
		v.Kind, v.Error, v.Hint = term.KindName(err), term.ErrorText(err), compute.Hint(err)
	}
	return writeDocument(name, v)
}

// writeDocument writes a JSON document to a file, or to a descriptor that is open already: fd:3.
// "": nowhere.
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
		return perr
	}
	return os.WriteFile(name, data, 0o600)
}
