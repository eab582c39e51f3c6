package runcmd

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/run/artifacts"
	"github.com/hostler-project/hostler/run/junit"
	"github.com/hostler-project/hostler/run/multi"
)

// finishMany reports how all parts ended, and returns the exit status.
func finishMany(a *cli.App, m *multi.Runs, report string, err error) error {
	v := manyView{Source: m.Source, Started: m.Begun, Seconds: time.Since(m.Begun).Seconds(), Exit: m.Status(), Runs: []partView{}}
	var bad, cut []string
	for _, p := range m.Parts {
		if by := p.Runner.Interrupts.By(); by != "" && p.State == multi.Interrupted {
			cut = append(cut, p.Name())
			if err == nil {
				err = &term.Interruption{Signal: by}
			}
		}
		one := viewPart(p)
		v.Runs = append(v.Runs, one)
		if p.State == multi.Failed {
			bad = append(bad, p.Name()+" "+cmp.Or(one.Error, fmt.Sprintf("exit status %d", one.Exit)))
		}
	}
	var i *term.Interruption
	if errors.As(err, &i) {
		v.Exit = i.Status()
	} else if err != nil {
		v.Exit = exitstatus.OfRun(err)
	}
	a.Say("%s", manyWords(m, bad, cut))
	sumTests(a, m)
	if a.JSON {
		doc, merr := json.Marshal(v)
		err = errors.Join(err, merr, term.Printf(a.Out, "%s\n", doc))
	}
	if rerr := writeDocument(report, v); rerr != nil {
		return errors.Join(err, rerr)
	}
	if v.Exit != 0 {
		return term.Exit(v.Exit)
	}
	return err
}

// manyWords sums up how several runs ended.
func manyWords(m *multi.Runs, bad, cut []string) string {
	counts := map[multi.State]int{}
	for _, p := range m.Parts {
		counts[p.State]++
	}
	words := []string{}
	for _, state := range []multi.State{multi.Passed, multi.Failed, multi.Interrupted, multi.Cancelled, multi.NotBegun} {
		if n := counts[state]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, strings.ReplaceAll(string(state), "-", " ")))
		}
	}
	text := fmt.Sprintf("%d runs: %s", len(m.Parts), strings.Join(words, ", "))
	if len(bad) > 0 {
		text += ": " + someOf(bad)
	}
	if len(cut) > 0 {
		text += ": interrupted while running: " + someOf(cut)
	}
	return text
}

// someOf returns the first of many words.
func someOf(words []string) string {
	if len(words) > 10 {
		words = append(slices.Clone(words[:10]), "...")
	}
	return strings.Join(words, "; ")
}

// sumTests sums up the reports of tests for the record of the whole.
func sumTests(a *cli.App, m *multi.Runs) {
	var sum junit.Report
	files := 0
	for _, p := range m.Parts {
		if c := p.Runner.Artifacts(); c != nil && c.Report != nil {
			sum.Add(c.Report, p.Name()+" ")
			files += c.Reports
		}
	}
	if files == 0 {
		return
	}
	t := artifacts.Summary(&sum, files)
	artifacts.KeepReport(m.Whole.Recording(), &sum, t)
	a.Say("%s", testWords(t))
}
