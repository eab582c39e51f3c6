package service

import (
	"encoding/json"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/format"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// limitsOf returns the resources that the formatter recorded for partitions. Files that a partition
// can write are not trusted.
func limitsOf(file *cfg.File, log Log) map[string]supervise.Limits {
	o, err := format.ReadOptions(file)
	if err != nil || o.State == "" {
		return nil // format reports it
	}
	all, err := format.LimitsOf(o.State)
	if err != nil {
		log.Warn("partitions have no limits now: %v", err)
	}
	limits := map[string]supervise.Limits{}
	for id, l := range all {
		limits[id] = supervise.Limits(l)
	}
	return limits
}

// platform describes this system to a master as SlapOS does: a JSON list of platform, id,
// version and name.
func platform() string {
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

// releaseKey returns the value of a key of /etc/os-release.
func releaseKey(text, key string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}
