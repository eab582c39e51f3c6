package runcmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// TestFactsNamePorts: a free port that was taken is of no use to who cannot find it.
func TestFactsNamePorts(t *testing.T) {
	var out bytes.Buffer
	a := &cli.App{Terminal: term.Terminal{Out: &out}}
	v := factsView{Instance: "box-1", Known: map[string]string{"port 8080/tcp": "127.0.0.1:49153", "image": "tiny\x1b[31m", "cores": "64"}}
	if err := printFacts(a, v); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "\nport 8080/tcp 127.0.0.1:49153\n") ||
		strings.ContainsRune(text, 27) || strings.Contains(text, "64\n") {
		t.Errorf(
			"text = %q"+
				"; want text with \"\\nport 8080/tcp 127.0.0.1:49153\\n\" and !strings.ContainsRune(text, 27) "+
				"and text without \"64\\n\"",
			text,
		)
	}
}
