package cloudcmd

import (
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider/flavor"
)

// cloudSource describes the servers of a deployment's source.
type cloudSource struct {
	os, user        string
	ram, disk       wholeFlag
	flavor, sets    string
	listed          bool
	keepalive       bareFlag
	confirmDead     bareFlag
	max, spawns     int
	script, goodbye string
	files           []string
	floating        bool
	subnets         []string // of EC2
}

// plainSource matches the names that a source may have.
var plainSource = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`) })

// check finds errors before anything is made.
func (s *cloudSource) check(name string, head bool) error {
	if s.os == "" {
		if head || s.script != "" || s.goodbye != "" || len(s.files) > 0 || s.confirmDead.Given {
			return fault.Invalid("--os debian-12", "there is no source for that: --os says which image its servers have")
		}
		return nil
	}
	if s.max < 0 || s.spawns < 0 {
		return fault.Invalid("", "--max-servers %d, --max-spawns %d: less than none", s.max, s.spawns)
	}
	if !plainSource().MatchString(name) {
		return fault.Invalid(
			"--resource-name "+regexp.MustCompile(`[^\w-]+`).ReplaceAllString(name, "-"),
			"%s: a source cannot have this name: letters, digits, _ and -", name,
		)
	}
	if _, err := flavor.ParseSets(s.sets); err != nil {
		return fault.Invalid("see https://pkg.go.dev/regexp/syntax for what may be written", "--flavor-sets %s: %v", s.sets, err)
	}
	if strings.ContainsAny(s.user, "/: \t") {
		return fault.Invalid("", "--username %q: no name of a user", s.user)
	}
	for _, text := range []string{s.os, s.user, s.flavor, s.sets} {
		if strings.ContainsAny(text, "\r\n") {
			return fault.Invalid("", "%q: more than one line", text)
		}
	}
	for _, file := range []string{s.script, s.goodbye} {
		if file != "" {
			if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
				return fault.Invalid("", "%s: not a file that can be read", file)
			}
		}
	}
	for _, f := range s.files {
		if _, _, err := s.configFile(f); err != nil {
			return err
		}
	}
	return nil
}
