package vm

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/instancedirs"
)

// stage is how far the making of an instance has come.
type stage string

const (
	begun    stage = ""         // it has a directory
	starting stage = "starting" // its disk and seed are there, and qemu may have been started
	booting  stage = "booting"  // qemu runs
	// it was restored and is halted, still a copy of another; it may run if the process that
	// resumed it was killed
	restored stage = "restored"
	awake    stage = "awake" // it has its own identity, and runs for its rehearsal, or is halted
	// it has its own identity, and was halted before anybody used it; it may run if the process
	// that resumed it was killed
	paused  stage = "paused"
	named   stage = "named"   // it has its own identity, and is in use
	stopped stage = "stopped" // it was shut down
)

// instanceRecord is the record in an instance's directory.
type instanceRecord struct {
	instancedirs.Owner
	Stage stage  `json:"stage"`
	UUID  string `json:"uuid"` // made with it: its machine-id

	// its file, as it was when the instance was made, like all that follows; "": not known yet
	Image    string   `json:"image"`
	From     string   `json:"from,omitempty"`   // the image of the store that it is from
	Digest   string   `json:"digest,omitempty"` // of that
	Kernel   string   `json:"kernel"`           // with which it can be started again
	Initrd   string   `json:"initrd"`
	Cores    int      `json:"cores"`
	Memory   int64    `json:"memory"`
	Disk     int64    `json:"disk,omitempty"`     // bytes
	Template string   `json:"template,omitempty"` // what it was restored from
	Accel    string   `json:"accel,omitempty"`
	Parted   bool     `json:"parted,omitempty"` // it was shut down after it lost its identity
	Ports    []string `json:"ports,omitempty"`  // HOST-PORT:GUEST-PORT/PROTOCOL
	// the agent's port that was spoken on before it was halted
	Last int `json:"last,omitempty"`
	SSH  int `json:"ssh,omitempty"` // the port of this machine that leads to its sshd

	proc.Process // that runs it
}

// keep opens the directory of instances.
func (p *Provider) keep() *instancedirs.Dir[instanceRecord] {
	return &instancedirs.Dir[instanceRecord]{
		Place: p.o.Dir, Installation: p.o.Installation, Source: p.o.Source,
		Log: p.log, Trust: p.place, Step: p.at,
	}
}

func (p *Provider) home(id compute.ID) string { return p.homes.Path(id) }

// record writes down how far an instance has come.
func (p *Provider) record(own *instanceRecord, s stage) error {
	own.Stage = s
	return p.homes.Write(*own)
}
