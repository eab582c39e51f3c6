package usercmd

import (
	"context"
	"strings"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
)

// computerFailures adds why software is missing, by the node's last report, if the master tells
// that for each release.
func computerFailures(ctx context.Context, s *session.Session, v *computerDetailView) error {
	for i := range v.Software {
		if v.Software[i].Error != "" {
			continue
		}
		told, err := s.Client.Status(ctx, v.Computer, "", v.Software[i].Release)
		if ctx.Err() != nil {
			return err
		} else if err != nil {
			s.Log.Note("%s", term.ErrorText(err)) // a master without the method
			return nil
		}
		text, _ := told["text"].(string)
		if text, failed := strings.CutPrefix(text, "#error "); failed && !strings.HasPrefix(text, "no data") {
			v.Software[i].Error = text
		}
	}
	return nil
}

// computerRuns adds the node's last report of what runs, if the master is a hostler and allows it.
func computerRuns(ctx context.Context, s *session.Session, v *computerDetailView) error {
	told, at, err := s.Client.NodeReport(ctx, v.Computer)
	if ctx.Err() != nil {
		return err
	} else if err != nil {
		s.Log.Note("%s", term.ErrorText(err))
		return computerFailures(ctx, s, v)
	}
	v.Told = at
	for _, of := range told.Partitions {
		for _, p := range of.Processes {
			v.Programs = append(v.Programs, computerProgramView{of.ID, p.Name, p.State, p.PID, p.Started, p.CPU, p.Memory})
		}
		for _, p := range of.Promises {
			v.Promises = append(v.Promises, computerPromiseView{of.ID, p.Name, p.Failed, p.Text, p.At})
		}
	}
	return nil
}
