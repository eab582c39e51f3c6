package runcmd

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
)

// againWords returns the command line that repeats a run. env are values given now; on is where to
// run, "" for where it was.
func againWords(rec runlog.Record, env []string, on string) ([]string, error) {
	if rec.Verb != "run" && rec.Verb != "shell" {
		return nil, fault.Invalid("", "rerun %s: it was a run of `hostler %s`, which does not run alone", rec.ID, rec.Verb)
	}
	if len(rec.Secrets) > 0 &&
		slices.ContainsFunc(slices.Concat(rec.Args, rec.Flags), func(w string) bool { return strings.Contains(w, redact.Mark) }) {
		return nil, fault.Invalid(
			"hostler runs show "+rec.ID,
			"rerun %s: a secret was among the words of its command line, which are not kept", rec.ID,
		)
	}
	given := map[string]bool{}
	for _, e := range env {
		key, _, _ := strings.Cut(e, "=")
		given[key] = true
	}
	words, script := []string{rec.Verb}, false
	var missing []string
	for _, f := range rec.Flags {
		option, value, _ := strings.Cut(f, "=")
		if option == "--env" {
			if given[value] {
				continue
			}
			if _, set := os.LookupEnv(value); !set && slices.Contains(rec.Env, value) {
				missing = append(missing, value)
			}
		}
		if on != "" && option == "--source" {
			continue
		}
		script = script || option == "--command"
		words = append(words, f)
	}
	if len(missing) > 0 {
		return nil, fault.Invalid(
			"hostler rerun "+rec.ID+" -e "+missing[0]+"=...",
			"rerun %s: no value is kept of %s, and there is none in the environment here", rec.ID,
			strings.Join(missing, ", "),
		)
	}
	for _, e := range env {
		words = append(words, "--env="+e)
	}
	args := rec.Args
	if script { // sh -c STRING [sh WORDS...]
		args = args[min(4, len(args)):]
	}
	target := cmp.Or(on, rec.Target)
	if target != "" {
		words = append(words, target)
	}
	if rec.Verb == "run" && (len(args) > 0 || target == "") {
		words = append(append(words, "--"), args...)
	}
	return words, nil
}
