package api

import "time"

// ReasonHeader is the header with the reason for a request. It is kept in the audit log.
const ReasonHeader = "Hostler-Reason"

// ProjectHeader is the header with the project of a request. Without it a request is about all
// projects of the caller; if it makes something, the caller's only project.
const ProjectHeader = "Hostler-Project"

// Self describes the caller and the controller.
type Self struct {
	Name        string            `json:"name" doc:"Name of the caller, who owns the leases that it acquires"`
	Admin       bool              `json:"admin" doc:"The caller may act on other users' leases"`
	Here        bool              `json:"here" doc:"The caller is on the controller's machine, and uses its socket"`
	Own         bool              `json:"own" doc:"The caller is the user that the controller runs as"`
	Role        string            `json:"role,omitempty" doc:"Role of the caller in all projects. Left out: none."`
	Roles       map[string]string `json:"roles" doc:"Role of the caller in each of its projects. The default project has no name."`
	Permissions []string          `json:"permissions" doc:"Permissions in at least one project, within the token's limits"`
	Source      string            `json:"source,omitempty" doc:"The caller's token is good for this source alone"`
	Lease       string            `json:"lease,omitempty" doc:"The caller's token is good for this lease alone"`
	Via         string            `json:"via" doc:"How the caller was authenticated"`
	Expires     *time.Time        `json:"expires,omitempty" doc:"When the caller's token ends. Left out if there is none, or if it ends with something else."`
	Version     string            `json:"version" doc:"Version of the controller"`
	Slap        bool              `json:"slap,omitempty" doc:"The controller is a SlapOS master, and the caller may look at it"`
	Identity
}

// Identity is what tells a controller from others.
type Identity struct {
	Installation  string `json:"installation" doc:"Mark on all that this installation makes"`
	Configuration string `json:"configuration,omitempty" doc:"Directories of the controller's configuration and state. For its own user."`
	Store         string `json:"store,omitempty" doc:"Where the state is: a file or a database. For the controller's own user."`
	APIProcess    string `json:"api_process,omitempty" doc:"The process that reads what strangers send. For the controller's own user."`
}

// Reloaded is the result of reading the configuration again.
type Reloaded struct {
	Broken   []Broken `json:"broken" doc:"Broken sources by name. Each continues with its last good configuration, if there was one."`
	Warnings []string `json:"warnings" doc:"Oddities that break nothing"`
	Several  bool     `json:"several,omitempty" doc:"Other controllers share this state, and read their own configuration"`
}

// Broken is a source whose configuration is wrong.
type Broken struct {
	Source string `json:"source"`
	Code   string `json:"code" doc:"Kind of problem"`
	Detail string `json:"detail" doc:"What is wrong, with file and line"`
	Hint   string `json:"hint,omitempty" doc:"What applies in the meantime, or what to do"`

	Lines []string `json:"lines,omitempty" doc:"Each thing that is wrong, if there are several. The detail has all of them."`
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
