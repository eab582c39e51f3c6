package usercmd

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// computerDetailView is `slapos computer info --json`.
type computerDetailView struct {
	Computer  string                 `json:"computer"`
	Title     string                 `json:"title"`
	Software  []computerSoftwareView `json:"software,omitempty"`
	Instances []computerInstanceView `json:"instances,omitempty"`
	Told      time.Time              `json:"told,omitzero"`
	Programs  []computerProgramView  `json:"programs,omitempty"`
	Promises  []computerPromiseView  `json:"promises,omitempty"`
}

// computerProgramView is a program in it, as its node told last.
type computerProgramView struct {
	Partition string    `json:"partition"`
	Name      string    `json:"name"`
	State     string    `json:"state"`
	PID       int       `json:"pid,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	CPU       float64   `json:"cpu"`
	Memory    int64     `json:"memory"`
}

// computerPromiseView is a promise in it.
type computerPromiseView struct {
	Partition string    `json:"partition"`
	Name      string    `json:"name"`
	Failed    bool      `json:"failed"`
	Text      string    `json:"text,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

// computerSoftwareView is software in it.
type computerSoftwareView struct {
	Release string `json:"release"`
	State   string `json:"state"` // the wanted state
	Error   string `json:"error,omitempty"`
}

// computerInstanceView is an instance in it.
type computerInstanceView struct {
	Partition string `json:"partition"`
	Title     string `json:"title"`
	State     string `json:"state"`
	Release   string `json:"release"`
	Error     string `json:"error,omitempty"`
}

// computerInfo shows a computer, with the software and the instances on it.
func computerInfo(ctx context.Context, s *session.Session, reference string) error {
	got, err := findForm(ctx, s, hypermedia.QueryComputers, "reference", reference)
	if err != nil {
		return err
	}
	if got == nil {
		return s.NotKnown("computer", reference, "hostler slapos computer list shows all")
	}
	v := computerDetailView{Computer: field(got, "reference"), Title: field(got, "title")}
	var software, instances jsonapi.Listing
	of := &jsonapi.Call{Computer: reference}
	for name, to := range map[string]*jsonapi.Listing{
		"slapos.allDocs.v0.compute_node_software_installation_list": &software,
		"slapos.allDocs.v0.compute_node_instance_list":              &instances,
	} {
		if err := s.Client.Call(ctx, name, of, to); ctx.Err() != nil {
			return err
		} else if err != nil {
			s.Log.Note("%s", term.ErrorText(err)) // a master without the method
		}
	}
	for _, r := range software.Results {
		v.Software = append(v.Software, computerSoftwareView{r.Release, r.State, trouble(r.Trouble)})
	}
	for _, i := range instances.Results {
		v.Instances = append(v.Instances, computerInstanceView{i.Partition, i.Title, i.State, i.Release, trouble(i.Trouble)})
	}
	if err := computerRuns(ctx, s, &v); err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	return printComputer(s.App.Out, &v)
}
