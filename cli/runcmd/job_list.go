package runcmd

import (
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
)

// jobList prints the configured jobs.
func jobList(a *cli.App) error {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	views, rows := []jobView{}, [][]string{}
	for _, j := range cfg.Jobs {
		v := jobView{Name: j.Name, File: j.File, Source: j.Source, Runs: jobText(j), Shards: j.Shards}
		if j.Err != nil {
			v.Error = term.ErrorText(j.Err)
		}
		views = append(views, v)
	}
	slices.SortFunc(views, func(x, y jobView) int { return strings.Compare(x.Name, y.Name) })
	if a.JSON {
		return a.PrintJSON(views)
	}
	for _, v := range views {
		runs := term.Line(v.Runs)
		if v.Error != "" {
			runs = term.Line(v.Error)
		}
		rows = append(rows, []string{v.Name, term.OrDash(v.Source), runs})
	}
	return a.Table([]string{"job", "source", "runs"}, rows)
}

// jobView is a job in `job list --json`.
type jobView struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	Source string `json:"source,omitempty"`
	Runs   string `json:"runs"`
	Shards int    `json:"shards,omitempty"`
	Error  string `json:"error,omitempty"`
}

func jobText(j *config.Job) string {
	if j.Shell != "" {
		return j.Shell
	}
	return shellWords(j.Words)
}
