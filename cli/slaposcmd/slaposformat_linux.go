package slaposcmd

import (
	"encoding/json"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/node/format"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// limits are what the formatter recorded that the programs of partitions may use. What a partition
// says of itself, in its own directory, is not asked.
func (n *NodeCommand) limits() map[string]supervise.Limits {
	o, err := format.ReadOptions(n.File)
	if err != nil || o.State == "" {
		return nil // format tells of it
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

// slaposPlatform says to a master what system this is, as SlapOS's own node does: a JSON list of
// platform, id, version and name.
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
