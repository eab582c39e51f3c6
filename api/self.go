package api

import "time"

// ReasonHeader is the header with the reason for a request. It is kept in the audit log.
const ReasonHeader = "Hostler-Reason"

// ProjectHeader is the header with the project of a request. Without it a request is about all
// projects of the caller; if it makes something, the caller's only project.
const ProjectHeader = "Hostler-Project"

// Self describes the caller and the controller.
type Self struct {
	Name        string            `json:"name" doc:"whose the leases are that the caller takes"`
	Admin       bool              `json:"admin" doc:"he may act on anybody's"`
	Here        bool              `json:"here" doc:"he is on the controller's own machine, by its socket"`
	Own         bool              `json:"own" doc:"he is the user that the controller runs as"`
	Role        string            `json:"role,omitempty" doc:"what he is in all projects; left out: nothing"`
	Roles       map[string]string `json:"roles" doc:"what he is in each of his projects; the default one has no name"`
	Permissions []string          `json:"permissions" doc:"what he may somewhere, as far as his token goes"`
	Source      string            `json:"source,omitempty" doc:"his token is for this source alone"`
	Lease       string            `json:"lease,omitempty" doc:"his token is for this lease alone"`
	Via         string            `json:"via" doc:"how he is known"`
	Expires     *time.Time        `json:"expires,omitempty" doc:"the token that he came with is good until then; left out: he came with none, or it ends with something else"`
	Version     string            `json:"version" doc:"of the controller"`
	Slap        bool              `json:"slap,omitempty" doc:"the controller is a SlapOS master, and the caller may look at it"`
	Identity
}

// Identity is what tells a controller from others.
type Identity struct {
	Installation  string `json:"installation" doc:"that all it makes is marked with"`
	Configuration string `json:"configuration,omitempty" doc:"names the directories that its configuration and its state are in; for its own user"`
	Store         string `json:"store,omitempty" doc:"where its state is, a file or a database; for its own user"`
}

// Reloaded is the result of reading the configuration again.
type Reloaded struct {
	Broken   []Broken `json:"broken" doc:"sources that are broken, by name: each goes on as it was read before, if it was read well then"`
	Warnings []string `json:"warnings" doc:"what is odd and breaks nothing"`
	Several  bool     `json:"several,omitempty" doc:"other controllers on the same state read their own configuration when they are asked"`
}

// Broken is a source whose configuration is wrong.
type Broken struct {
	Source string `json:"source"`
	Code   string `json:"code" doc:"the kind, as a problem has it"`
	Detail string `json:"detail" doc:"what is wrong, with file and line"`
	Hint   string `json:"hint,omitempty" doc:"what counts meanwhile, or what to do"`

	Lines []string `json:"lines,omitempty" doc:"what is wrong, each by itself, where it is several things; detail has them all"`
}

// NewBroken makes the document of a broken source.
func NewBroken(source string, err error) Broken {
	p := NewProblem(err)
	return Broken{source, p.Code, p.Detail, p.Hint, p.Lines}
}

// Err returns the error of the document.
func (b Broken) Err() error {
	return Problem{Code: b.Code, Detail: b.Detail, Hint: b.Hint, Lines: b.Lines}.Err()
}
