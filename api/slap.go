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
	State   string    `json:"state,omitempty" doc:"Last reported state. Left out if none was reported."`
	Message string    `json:"message,omitempty" doc:"Last message, or its end"`
	Error   bool      `json:"error" doc:"The message is an error that came after the state"`
	Since   time.Time `json:"since" doc:"When the state or the message changed"`
	At      time.Time `json:"at" doc:"When the message was last sent, to some minutes"`
}

// SlapComputer is a computer of the SlapOS master.
type SlapComputer struct {
	Computer   string      `json:"computer" doc:"Reference of the computer"`
	Title      string      `json:"title,omitempty"`
	Owner      string      `json:"owner,omitempty" doc:"User who owns the computer. Left out for the installation's own."`
	Project    string      `json:"project,omitempty"`
	Network    string      `json:"network,omitempty"`
	Created    *time.Time  `json:"created" doc:"When the computer was first formatted. null means never."`
	Partitions int         `json:"partitions" doc:"Number of partitions"`
	Busy       int         `json:"busy" doc:"Number of partitions with an instance"`
	Releases   int         `json:"releases" doc:"Number of software releases that are to be installed or removed"`
	Status     *SlapStatus `json:"status" doc:"Status of the node. null if it has reported nothing."`
}

// SlapComputerPage is a page of the list of computers.
type SlapComputerPage struct {
	Computers []SlapComputer `json:"computers" nullable:"false" doc:"Computers by reference"`
	Next      string         `json:"next,omitempty" doc:"Value of the parameter after for the next page. Left out on the last page."`
}

// SlapComputerDetail is a computer with everything on it.
type SlapComputerDetail struct {
	SlapComputer
	Slots    []SlapPartition `json:"slots" nullable:"false" doc:"Partitions in their order"`
	Supplied []SlapRelease   `json:"supplied" nullable:"false" doc:"Software releases to install or remove, in the order of the requests."`
	Told     *time.Time      `json:"told" doc:"When the node last reported what runs in its partitions. null means never."`
}

// SlapPartition is a slot of a computer.
type SlapPartition struct {
	Partition string        `json:"partition"`
	Addresses []string      `json:"addresses" nullable:"false"`
	Instance  *SlapInstance `json:"instance" doc:"Instance in the partition. null if it is free."`
	Programs  []SlapProgram `json:"programs" nullable:"false" doc:"Programs that the node keeps running in it, by its last report."`
	Promises  []SlapPromise `json:"promises" nullable:"false" doc:"Promises that were checked in the partition, by the node's last report"`
}

// SlapProgram is a program that a node keeps running.
type SlapProgram struct {
	Name    string     `json:"name"`
	State   string     `json:"state" doc:"State in the supervisor's words: RUNNING, STOPPED, EXITED, BACKOFF, FATAL, …"`
	PID     int        `json:"pid,omitempty"`
	Started *time.Time `json:"started" doc:"Start time. null if the program does not run."`
	CPU     float64    `json:"cpu" doc:"CPU seconds of the program and its children since the start"`
	Memory  int64      `json:"memory" doc:"Resident bytes of the program and its children"`
}

// SlapPromise is the last result of a check.
type SlapPromise struct {
	Name   string     `json:"name"`
	Failed bool       `json:"failed"`
	Text   string     `json:"text,omitempty" doc:"Message of the promise, or the beginning of it"`
	At     *time.Time `json:"at" doc:"Time of the check. null if it is not known."`
	Hours  string     `json:"hours,omitempty" doc:"The 24 hours up to until, oldest first, one character each: - for no check, 0 for success, 1 to 9 for the share of failed checks, where 9 is all of them."`
	Until  *time.Time `json:"until" doc:"End of the hours. null if nothing is known of them."`
}

// SlapRelease is a software release on a computer.
type SlapRelease struct {
	Release string      `json:"release" doc:"URL of the software release"`
	State   string      `json:"state" doc:"Requested state: available or destroyed."`
	Created time.Time   `json:"created"`
	Status  *SlapStatus `json:"status" doc:"Status of the node. null if it has reported nothing."`
}

// SlapInstance is an instance of the SlapOS master.
type SlapInstance struct {
	Instance    string      `json:"instance" doc:"ID of the instance. It never changes."`
	Title       string      `json:"title"`
	Root        string      `json:"root" doc:"ID of the root of the instance's tree. A root has its own."`
	RootTitle   string      `json:"root_title"`
	Parent      string      `json:"parent,omitempty" doc:"ID of the instance that requested this one. Left out if a user did."`
	ParentTitle string      `json:"parent_title,omitempty"`
	Owner       string      `json:"owner,omitempty" doc:"User who requested the tree. Left out if an administrator did."`
	Project     string      `json:"project,omitempty"`
	Shared      bool        `json:"shared" doc:"The instance has no partition of its own: another instance serves it."`
	Release     string      `json:"release" doc:"URL of the software release"`
	Type        string      `json:"type"`
	Asked       string      `json:"asked" doc:"Requested state of this instance"`
	State       string      `json:"state" doc:"State that results from its tree: started, stopped or destroyed."`
	Computer    string      `json:"computer,omitempty" doc:"Computer of the instance, or of its host. Left out if it has no place."`
	Partition   string      `json:"partition,omitempty" doc:"Partition of the instance, or of its host. Left out if it has no place."`
	Host        string      `json:"host,omitempty" doc:"ID of the instance that serves a shared one"`
	HostTitle   string      `json:"host_title,omitempty"`
	Reason      string      `json:"reason,omitempty" doc:"Why the instance has no place"`
	Members     int         `json:"members,omitempty" doc:"Number of instances in the tree of a root, with the root"`
	Unplaced    int         `json:"unplaced,omitempty" doc:"Number of instances in the tree that have no place"`
	Created     time.Time   `json:"created"`
	Changed     *time.Time  `json:"changed" doc:"Last change that the node must know. null if there was none."`
	Status      *SlapStatus `json:"status" doc:"Status of the node. null if it has reported nothing."`
}

// SlapInstancePage is a page of the list of instances.
type SlapInstancePage struct {
	Instances []SlapInstance `json:"instances" nullable:"false" doc:"Instances by title"`
	Next      string         `json:"next,omitempty" doc:"Value of the parameter after for the next page. Left out on the last page."`
}

// SlapInstanceDetail is an instance with the parameters of its request.
type SlapInstanceDetail struct {
	SlapInstance
	Parameters map[string]any    `json:"parameters" doc:"Requested parameters. JSON in _ is given as that object."`
	Filter     map[string]string `json:"filter" doc:"Conditions for the place of the instance"`
	Addresses  []string          `json:"addresses" nullable:"false"`
	Connection []string          `json:"connection" nullable:"false" doc:"Names of the connection parameters. Their values may be secret."`
}

// SlapConnection is what an instance publishes to the user who requested it.
type SlapConnection struct {
	Values map[string]any `json:"values" doc:"Connection parameters by name"`
}

// SlapRequest asks for an instance tree, new or existing, to be as it says.
type SlapRequest struct {
	Title      string            `json:"title" minLength:"1" maxLength:"200" doc:"The user's own name for the instance"`
	Release    string            `json:"release" minLength:"1" maxLength:"2000" doc:"URL of the software release"`
	Type       string            `json:"type,omitempty" maxLength:"200" doc:"Variant of the software. The default is default."`
	Shared     bool              `json:"shared,omitempty" doc:"Request a shared instance, which another instance serves"`
	State      string            `json:"state,omitempty" enum:"started,stopped" doc:"Requested state. The default is started."`
	Parameters map[string]any    `json:"parameters,omitempty" doc:"Parameters. They are checked by the software's schema if there is one."`
	Filter     map[string]string `json:"filter,omitempty" doc:"Conditions for the place, such as computer_guid or instance_guid"`
	Unchecked  bool              `json:"unchecked,omitempty" doc:"Accept parameters that the schema refuses"`
}

// SlapChange changes an instance tree. Fields that are left out stay as they are.
type SlapChange struct {
	State      string             `json:"state,omitempty" enum:"started,stopped,destroyed"`
	Release    string             `json:"release,omitempty" maxLength:"2000"`
	Type       string             `json:"type,omitempty" maxLength:"200"`
	Parameters *map[string]any    `json:"parameters,omitempty"`
	Filter     *map[string]string `json:"filter,omitempty"`
	Unchecked  bool               `json:"unchecked,omitempty" doc:"Accept parameters that the schema refuses"`
}

// SlapSupply asks for a software release on a computer, or for its removal.
type SlapSupply struct {
	Release string `json:"release" minLength:"1" maxLength:"2000" doc:"URL of the software release"`
	State   string `json:"state,omitempty" enum:"available,destroyed" doc:"Requested state. The default is available."`
}

// SlapSoftware is what a software release says about itself in the file beside it.
type SlapSoftware struct {
	Release     string     `json:"release" doc:"URL of the software release"`
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	Types       []SlapType `json:"types" nullable:"false" doc:"Variants of the software"`
	Unknown     string     `json:"unknown,omitempty" doc:"Why the software's description cannot be read. Parameters are then not checked."`
}

// SlapType is a variant of a software.
type SlapType struct {
	Type        string         `json:"type"`
	Title       string         `json:"title,omitempty"`
	Description string         `json:"description,omitempty"`
	Shared      bool           `json:"shared"`
	Schema      map[string]any `json:"schema,omitempty" doc:"JSON Schema of the parameters. Left out: none, or it cannot be read."`
	Problem     string         `json:"problem,omitempty" doc:"Why the schema cannot be read"`
}

// SlapUsage is the reported use of a computer.
type SlapUsage struct {
	Computer string            `json:"computer"`
	Of       string            `json:"of" doc:"Subject of the figures: the computer, or one of its partitions."`
	Known    []string          `json:"known" nullable:"false" doc:"All subjects that have reports"`
	Series   []SlapUsageSeries `json:"series" nullable:"false" doc:"Series by resource"`
}

// SlapUsageSeries is the use of one resource over time.
type SlapUsageSeries struct {
	Resource string           `json:"resource"`
	Title    string           `json:"title,omitempty"`
	Points   []SlapUsagePoint `json:"points" nullable:"false" doc:"Points, the oldest first"`
}

// SlapUsagePoint is the value of one report.
type SlapUsagePoint struct {
	Time     time.Time `json:"time" doc:"Time of the report"`
	Quantity float64   `json:"quantity"`
}

// SlapMark identifies a state of the SlapOS master.
type SlapMark struct {
	Mark string `json:"mark" doc:"A value that changes when anything changes"`
}
