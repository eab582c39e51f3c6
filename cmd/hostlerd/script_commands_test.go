package main

import (
	"bytes"
	"errors"
	"net/http"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

type errorText struct{ bytes.Buffer }

func cutHome(name string) (string, bool) { return strings.CutPrefix(name, "~/") }

// scriptCommands are what the scripts can do beside testscript's own:
//
//	exits N PROGRAM ARG...    run it; it must end with that exit status
//	lines N stdout|stderr     the last program printed so many lines
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) < 2 {
				ts.Fatalf("usage: exits N PROGRAM ARG...")
			}
			want, err := strconv.Atoi(args[0])
			ts.Check(err)
			err = ts.Exec(args[1], args[2:]...)
			got := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				got = exit.ExitCode()
			} else {
				ts.Check(err)
			}
			if got != want {
				ts.Fatalf("exit status %d, want %d", got, want)
			}
		},
		"post": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) != 3 {
				ts.Fatalf("usage: post FILE PATH BODY: send the file BODY, which is JSON, to PATH below the URL in FILE")
			}
			answer, err := http.Post(
				strings.TrimSpace(ts.ReadFile(args[0]))+args[1], "application/json",
				strings.NewReader(ts.ReadFile(args[2])),
			)
			ts.Check(err)
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				ts.Fatalf("status %s", answer.Status)
			}
		},
		"lines": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) != 2 {
				ts.Fatalf("usage: lines N stdout|stderr")
			}
			want, err := strconv.Atoi(args[0])
			ts.Check(err)
			if got := strings.Count(ts.ReadFile(args[1]), "\n"); got != want {
				ts.Fatalf("%s has %d lines, want %d", args[1], got, want)
			}
		},
	}
}
