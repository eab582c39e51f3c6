package slaposcmd

import (
	"encoding/json"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/node/format"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// limits returns the resources that the formatter recorded for partitions. Files that a partition
// can write are not trusted.
func (n *NodeCommand) limits() map[string]supervise.Limits {
	o, err := format.ReadOptions(n.File)
	if err != nil || o.State == "" {
		return nil // format reports it
	}
	all, err := format.LimitsOf(o.State)
	if err != nil {
		n.Warn("partitions have no limits now: %v", err)
	}
	limits := map[string]supervise.Limits{}
	for id, l := range all {
		limits[id] = supervise.Limits(l)
	}
	return limits
}

// slaposPlatform describes this system to a master as SlapOS does: a JSON list of platform, id,
// version and name.
func slaposPlatform() string {
	platform := "Linux"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		platform += "-" + unix.ByteSliceToString(u.Release[:]) + "-" + unix.ByteSliceToString(u.Machine[:])
	}
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		text, _ = os.ReadFile("/usr/lib/os-release")
	}
	list, _ := json.Marshal([]string{
		platform, releaseKey(string(text), "ID"), releaseKey(string(text), "VERSION_ID"),
		releaseKey(string(text), "NAME"),
	})
	return string(list)
}
