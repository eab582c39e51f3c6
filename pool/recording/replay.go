package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
)

// Recording is what a file of decisions has.
type Recording struct {
	Program   string // the version of the program that wrote it
	Decisions []*Decision
}

// Decision is a recorded decision.
type Decision struct {
	given *given
	reads []*read
	Was   Outcome
}

// Read reads a recording.
func Read(from io.Reader) (*Recording, error) {
	var out *Recording
	var open *Decision
	lines := bufio.NewReader(from)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		last := err != nil
		if text = bytes.TrimSpace(text); len(text) == 0 && last {
			break
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			if out == nil {
				return nil, errors.New("it is no recording: its first line is not that of one")
			}
			return nil, fmt.Errorf("line %d is damaged: %w", n, err)
		}
		switch {
		case out == nil && l.Header == nil:
			return nil, errors.New("it is no recording: its first line is not that of one")
		case out == nil && l.Header.Version != version:
			return nil, fmt.Errorf("its format is version %d, and this program knows %d", l.Header.Version, version)
		case out == nil:
			out = &Recording{Program: l.Header.Program}
		case open == nil && l.Decision != nil:
			open = &Decision{given: l.Decision}
		case open != nil && l.Read != nil:
			open.reads = append(open.reads, l.Read)
		case open != nil && l.Outcome != nil:
			open.Was = *l.Outcome
			out.Decisions, open = append(out.Decisions, open), nil
		default:
			return nil, fmt.Errorf("line %d is not what may stand there", n)
		}
		if last {
			break
		}
	}
	switch {
	case out == nil:
		return nil, errors.New("it is empty")
	case open != nil:
		return nil, errors.New("its last decision has no outcome: it was cut off")
	}
	return out, nil
}

// Request is what was asked for.
func (d *Decision) Request() compute.Request { return d.given.Request.Request }

// Replay decides again. unknown says what this program asked that is not recorded; "": all was.
func (d *Decision) Replay() (now Outcome, unknown string, err error) {
	defer func() {
		// a recording that was altered can hold anything
		if r := recover(); r != nil {
			err = fmt.Errorf("what is recorded cannot be decided on: %v", r)
		}
	}()
	t := &tape{plays: true, answers: map[string][]*read{}}
	for _, r := range d.reads {
		t.answers[r.key()] = append(t.answers[r.key()], r)
	}
	g := d.given
	v := &allocate.View{
		Reader: reader{t, nil}, Surroundings: surroundings{t, nil}, Now: g.Now, ByName: map[string]*allocate.Source{},
		Worker: g.Worker, Host: g.Host, Quotas: g.Quotas,
		NewID: func() string { return tell(t, "NewID", nil, func() string { return "" }) },
	}
	for _, s := range g.Sources {
		own := s.Source
		if s.Broken != "" {
			own.Err = errors.New(s.Broken)
		}
		v.ByName[own.Name] = &own
		v.Ordered = append(v.Ordered, &own)
	}
	allocate.Link(v.ByName, v.Ordered)
	var passed candidates
	v.Passed = passed.pass
	req := allocate.Request{
		Request: g.Request.Request, Source: v.ByName[g.Request.Source], Waiter: g.Waiter, Skip: g.Skip,
		Hooked: g.Hooked, Checked: g.Checked, ByHooks: g.ByHooks,
	}
	if req.Source == nil {
		return Outcome{}, "", fmt.Errorf("its source %q is not recorded", g.Request.Source)
	}
	got, failed := allocate.Acquire(v, req)
	return *outcomeOf(got, failed, passed), t.unknown, nil
}
