package proxycmd

import (
	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
)

// shownView is what `slapos proxy show` prints with --json.
type shownView struct {
	Computers  []shownComputer      `json:"computers,omitempty"`
	Software   []usercmd.SupplyView `json:"software,omitempty"`
	Partitions []shownPartition     `json:"partitions,omitempty"`
	Shared     []shownShared        `json:"shared,omitempty"`
	Network    []shownAddress       `json:"network,omitempty"`
	Waiting    []shownWaiting       `json:"waiting,omitempty"`
}

type shownWaiting struct {
	Title   string `json:"title"`
	Root    string `json:"root"`
	State   string `json:"state"`
	Shared  bool   `json:"shared"`
	Type    string `json:"type"`
	Release string `json:"release"`
	Reason  string `json:"reason"`
}

type shownComputer struct {
	Computer   string `json:"computer"`
	Address    string `json:"address"`
	Netmask    string `json:"netmask"`
	Partitions int    `json:"partitions"`
}

type shownPartition struct {
	Computer   string            `json:"computer"`
	Partition  string            `json:"partition"`
	Title      string            `json:"title,omitempty"`
	Root       string            `json:"root,omitempty"`
	State      string            `json:"state,omitempty"`
	Type       string            `json:"type,omitempty"`
	Release    string            `json:"release,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

type shownShared struct {
	Reference string `json:"reference"`
	Computer  string `json:"computer"`
	Partition string `json:"partition"`
	Type      string `json:"type"`
}
