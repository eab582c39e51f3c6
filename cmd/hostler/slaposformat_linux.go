package main

import (
	"encoding/json"
	"os"

	"golang.org/x/sys/unix"
)

// slaposPlatform says to a master what system this is, as SlapOS's own node does: a JSON list of platform, id, version and name.
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
	list, _ := json.Marshal([]string{platform, releaseKey(string(text), "ID"), releaseKey(string(text), "VERSION_ID"), releaseKey(string(text), "NAME")})
	return string(list)
}
