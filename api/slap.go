package api

import "time"

// SlapPage selects a page of a list.
type SlapPage struct {
	After string `query:"after" doc:"what follows this: the next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"so many at most"`
}

// SlapQuery selects instances.
type SlapQuery struct {
	Roots bool   `query:"roots" doc:"roots of trees alone"`
	Root  string `query:"root" doc:"only those of the tree of this id"`
	Host  string `query:"host" doc:"only the shared ones that the instance of this id serves"`
	State string `query:"state" enum:"started,stopped,destroyed,unplaced" doc:"only those that are wanted so, or have no place"`
	Match string `query:"match" maxLength:"200" doc:"only those with this text in title, software or owner"`
}

// SlapStatus is the last report of a node on a computer, a release or an instance.
type SlapStatus struct {
	State   string    `json:"state,omitempty" doc:"the last that was reported; left out: none was"`
	Message string    `json:"message,omitempty" doc:"what was said last, or its end"`
	Error   bool      `json:"error" doc:"the message is of an error that came after the state"`
	Since   time.Time `json:"since" doc:"when state or message became what they are"`
	At      time.Time `json:"at" doc:"when it was said last, or a little before"`
}

// SlapComputer is a computer of the SlapOS master.
type SlapComputer struct {
	Computer   string      `json:"computer" doc:"its reference"`
	Title      string      `json:"title,omitempty"`
	Owner      string      `json:"owner,omitempty" doc:"the user whose it is; left out: the installation's"`
	Project    string      `json:"project,omitempty"`
	Network    string      `json:"network,omitempty"`
	Created    *time.Time  `json:"created" doc:"null: it was never formatted"`
	Partitions int         `json:"partitions" doc:"so many it has"`
	Busy       int         `json:"busy" doc:"in so many of them is an instance"`
	Releases   int         `json:"releases" doc:"so many are wanted on it, or wanted away"`
	Status     *SlapStatus `json:"status" doc:"null: its node has reported nothing"`
}

// SlapComputerPage is a page of the list of computers.
type SlapComputerPage struct {
	Computers []SlapComputer `json:"computers" nullable:"false" doc:"by reference"`
	Next      string         `json:"next,omitempty" doc:"give it as after for those that follow; left out: there are none"`
}

// SlapComputerDetail is a computer with everything on it.
type SlapComputerDetail struct {
	SlapComputer
	Slots    []SlapPartition `json:"slots" nullable:"false" doc:"its partitions, in their order"`
	Supplied []SlapRelease   `json:"supplied" nullable:"false" doc:"the releases that are wanted on it, or wanted away, in the order in which they were asked for"`
	Told     *time.Time      `json:"told" doc:"when its node told last what runs in its partitions; null: it never did"`
}

// SlapPartition is a slot of a computer.
type SlapPartition struct {
	Partition string        `json:"partition"`
	Addresses []string      `json:"addresses" nullable:"false"`
	Instance  *SlapInstance `json:"instance" doc:"what is in it; null: it is free"`
	Programs  []SlapProgram `json:"programs" nullable:"false" doc:"what its node keeps running in it, as it told last"`
	Promises  []SlapPromise `json:"promises" nullable:"false" doc:"what was checked in it, as its node told last"`
}

// SlapProgram is a program that a node keeps running.
type SlapProgram struct {
	Name    string     `json:"name"`
	State   string     `json:"state" doc:"RUNNING, STOPPED, EXITED, BACKOFF, FATAL, …: the supervisor's word"`
	PID     int        `json:"pid,omitempty"`
	Started *time.Time `json:"started" doc:"null: it does not run"`
	CPU     float64    `json:"cpu" doc:"seconds since it was started, with all that it started"`
	Memory  int64      `json:"memory" doc:"bytes that are resident, with all that it started"`
}

// SlapPromise is the last result of a check.
type SlapPromise struct {
	Name   string     `json:"name"`
	Failed bool       `json:"failed"`
	Text   string     `json:"text,omitempty" doc:"what it said, or the beginning of it"`
	At     *time.Time `json:"at" doc:"null: that is not known"`
	Hours  string     `json:"hours,omitempty" doc:"24 hours up to until, oldest first, a character each: - it was not asked, 0 it was kept, 1 to 9 the share of times at which it failed, 9 all of them"`
	Until  *time.Time `json:"until" doc:"null: nothing is known of the hours before"`
}

// SlapRelease is a software release on a computer.
type SlapRelease struct {
	Release string      `json:"release" doc:"its URL"`
	State   string      `json:"state" doc:"what is wanted: available or destroyed"`
	Created time.Time   `json:"created"`
	Status  *SlapStatus `json:"status" doc:"null: its node has reported nothing"`
}

// SlapInstance is an instance of the SlapOS master.
type SlapInstance struct {
	Instance    string      `json:"instance" doc:"its id, for good"`
	Title       string      `json:"title"`
	Root        string      `json:"root" doc:"the id of its tree's root; of a root its own"`
	RootTitle   string      `json:"root_title"`
	Parent      string      `json:"parent,omitempty" doc:"the id of the instance that asked for it; left out: a user did"`
	ParentTitle string      `json:"parent_title,omitempty"`
	Owner       string      `json:"owner,omitempty" doc:"the user who asked for the tree; left out: an administrator did"`
	Project     string      `json:"project,omitempty"`
	Shared      bool        `json:"shared" doc:"it has no partition of its own: another instance serves it"`
	Release     string      `json:"release" doc:"the URL of its software"`
	Type        string      `json:"type"`
	Asked       string      `json:"asked" doc:"the state that was asked for"`
	State       string      `json:"state" doc:"the state that is wanted, as its tree is: started, stopped or destroyed"`
	Computer    string      `json:"computer,omitempty" doc:"where it is, or its host; left out: nowhere"`
	Partition   string      `json:"partition,omitempty" doc:"the same"`
	Host        string      `json:"host,omitempty" doc:"of a shared one, the id of the instance that serves it"`
	HostTitle   string      `json:"host_title,omitempty"`
	Reason      string      `json:"reason,omitempty" doc:"why it has no place"`
	Members     int         `json:"members,omitempty" doc:"of a root, so many instances has its tree, with itself"`
	Unplaced    int         `json:"unplaced,omitempty" doc:"of those, so many have no place"`
	Created     time.Time   `json:"created"`
	Changed     *time.Time  `json:"changed" doc:"when something of it was changed that its node must know; null: nothing was"`
	Status      *SlapStatus `json:"status" doc:"null: its node has reported nothing"`
}

// SlapInstancePage is a page of the list of instances.
type SlapInstancePage struct {
	Instances []SlapInstance `json:"instances" nullable:"false" doc:"by title"`
	Next      string         `json:"next,omitempty" doc:"give it as after for those that follow; left out: there are none"`
}

// SlapInstanceDetail is an instance with the parameters of its request.
type SlapInstanceDetail struct {
	SlapInstance
	Parameters map[string]any    `json:"parameters" doc:"as they were asked for; what software takes as JSON in _ is that object"`
	Filter     map[string]string `json:"filter" doc:"where it may be"`
	Addresses  []string          `json:"addresses" nullable:"false"`
	Connection []string          `json:"connection" nullable:"false" doc:"the names of its connection parameters, whose values may be secret"`
}

// SlapConnection is what an instance publishes to the user who requested it.
type SlapConnection struct {
	Values map[string]any `json:"values" doc:"connection parameters by name"`
}

// SlapRequest asks for an instance tree, new or existing, to be as it says.
type SlapRequest struct {
	Title      string            `json:"title" minLength:"1" maxLength:"200" doc:"one's own name for it"`
	Release    string            `json:"release" minLength:"1" maxLength:"2000" doc:"the URL of its software"`
	Type       string            `json:"type,omitempty" maxLength:"200" doc:"the variant of the software; default unless it is said"`
	Shared     bool              `json:"shared,omitempty" doc:"one that another instance serves"`
	State      string            `json:"state,omitempty" enum:"started,stopped" doc:"started unless it is said"`
	Parameters map[string]any    `json:"parameters,omitempty" doc:"checked by the software's schema, where it has one"`
	Filter     map[string]string `json:"filter,omitempty" doc:"where it may be: computer_guid, instance_guid, network_guid, project_guid"`
	Unchecked  bool              `json:"unchecked,omitempty" doc:"take the parameters though the schema does not"`
}

// SlapChange changes an instance tree. Fields that are left out stay as they are.
type SlapChange struct {
	State      string             `json:"state,omitempty" enum:"started,stopped,destroyed"`
	Release    string             `json:"release,omitempty" maxLength:"2000"`
	Type       string             `json:"type,omitempty" maxLength:"200"`
	Parameters *map[string]any    `json:"parameters,omitempty"`
	Filter     *map[string]string `json:"filter,omitempty"`
	Unchecked  bool               `json:"unchecked,omitempty" doc:"take the parameters though the schema does not"`
}

// SlapSupply asks for a software release on a computer, or for its removal.
type SlapSupply struct {
	Release string `json:"release" minLength:"1" maxLength:"2000" doc:"its URL"`
	State   string `json:"state,omitempty" enum:"available,destroyed" doc:"available unless it is said"`
}

// SlapSoftware is what a software release says about itself in the file beside it.
type SlapSoftware struct {
	Release     string     `json:"release" doc:"its URL"`
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	Types       []SlapType `json:"types" nullable:"false" doc:"its variants"`
	Unknown     string     `json:"unknown,omitempty" doc:"why it is not known what it says; parameters are then not checked"`
}

// SlapType is a variant of a software.
type SlapType struct {
	Type        string         `json:"type"`
	Title       string         `json:"title,omitempty"`
	Description string         `json:"description,omitempty"`
	Shared      bool           `json:"shared"`
	Schema      map[string]any `json:"schema,omitempty" doc:"the JSON Schema of its parameters; left out: it has none, or it cannot be had"`
	Problem     string         `json:"problem,omitempty" doc:"why the schema cannot be had"`
}

// SlapUsage is the reported use of a computer.
type SlapUsage struct {
	Computer string            `json:"computer"`
	Of       string            `json:"of" doc:"what this is the use of: the computer, or one of its partitions"`
	Known    []string          `json:"known" nullable:"false" doc:"all of which there are reports"`
	Series   []SlapUsageSeries `json:"series" nullable:"false" doc:"by resource"`
}

// SlapUsageSeries is the use of one resource over time.
type SlapUsageSeries struct {
	Resource string           `json:"resource"`
	Title    string           `json:"title,omitempty"`
	Points   []SlapUsagePoint `json:"points" nullable:"false" doc:"the oldest first"`
}

// SlapUsagePoint is the value of one report.
type SlapUsagePoint struct {
	Time     time.Time `json:"time" doc:"when it was reported"`
	Quantity float64   `json:"quantity"`
}

// SlapMark identifies a state of the SlapOS master.
type SlapMark struct {
	Mark string `json:"mark" doc:"another one when anything is otherwise"`
}
