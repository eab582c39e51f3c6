package cloudcmd

import (
	"time"

	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// cloudView is what `cloud deploy` and `cloud teardown --json` print.
type cloudView struct {
	Name       string            `json:"name"`
	Cloud      string            `json:"cloud,omitempty"`
	Project    string            `json:"project"`
	Region     string            `json:"region,omitempty"`
	State      string            `json:"state"`
	DryRun     bool              `json:"dry_run"`
	InCloud    string            `json:"in_cloud,omitempty"`
	KeyFile    string            `json:"key_file,omitempty"`
	SourceFile string            `json:"source_file,omitempty"`
	Head       string            `json:"head,omitempty"`
	Hourly     *float64          `json:"hourly"`
	Currency   string            `json:"currency,omitempty"`
	Steps      []deployment.Step `json:"steps"`
}

// cloudServerView is a server in `cloud servers --json`.
type cloudServerView struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Deployment string    `json:"deployment,omitempty"`
	Source     string    `json:"source,omitempty"`
	Instance   string    `json:"instance,omitempty"`
	Status     string    `json:"status"`
	Addresses  []string  `json:"addresses"`
	Flavor     string    `json:"flavor"`
	Zone       string    `json:"zone,omitempty"`
	Created    time.Time `json:"created"`
	Problem    string    `json:"problem,omitempty"`
	Hourly     *float64  `json:"hourly"`
	Destroyed  bool      `json:"destroyed"`
}

// cloudFlavorView is a flavor in `cloud flavors --json`.
type cloudFlavorView struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Cores  int      `json:"cores"`
	Memory int64    `json:"memory"`
	Disk   int64    `json:"disk"`
	GPUs   int      `json:"gpus"`
	Hourly *float64 `json:"hourly"`
}

// cloudQuotaView is a line of `cloud quota --json`.
type cloudQuotaView struct {
	Name string `json:"name"`
	Max  *int64 `json:"max"`
	Used *int64 `json:"used"`
	Free *int64 `json:"free"`
}

// cloudImageView is an image in `cloud images --json`.
type cloudImageView struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Visibility string    `json:"visibility"`
	Size       int64     `json:"size"`
	MinDisk    int64     `json:"min_disk"`
	MinMemory  int64     `json:"min_memory"`
	Created    time.Time `json:"created"`
}
