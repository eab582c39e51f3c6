package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
)

// everyCommand calls f for each command that people can type.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		everyCommand(c, f)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	root := whole.Tree(cli.NewApp(nil, &bytes.Buffer{}, &bytes.Buffer{}))
	everyCommand(root, func(c *cobra.Command) {
		path := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its short text %q is empty or ends with a full stop", path, c.Short)
		}
		if !strings.Contains(c.Example, path) && !(c.HasParent() && strings.Contains(c.Example, "hostler -s")) {
			t.Errorf("%s: no example with it in --help", path)
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented", path, line)
			}
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if name, _ := pflag.UnquoteUsage(f); !f.Hidden && name != "" && strings.ToUpper(name) != name {
				t.Errorf("%s --%s %s: what it takes has no name of its own in --help", path, f.Name, name)
			}
		})
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil || !strings.Contains(out.String(), "Examples:") {
			t.Errorf("%s --help: %v\n%s", path, err, &out)
		}
	})
}

// TestExamplesParse runs the words of each example, as far as the command's options.
func TestExamplesParse(t *testing.T) {
	verb := regexp.MustCompile(`^hostler (.*?)( \||$| &&| <|\))`)
	root := whole.Tree(cli.NewApp(nil, &bytes.Buffer{}, &bytes.Buffer{}))
	everyCommand(root, func(c *cobra.Command) {
		for _, line := range strings.Split(c.Example, "\n") {
			m := verb.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil || strings.ContainsAny(m[1], `'"$>`) {
				continue
			}
			words := strings.Fields(m[1])
			for len(words) > 1 && (words[0] == "-C" || words[0] == "-s") {
				words = words[2:]
			}
			cmd, rest, err := whole.Tree(cli.NewApp(nil, &bytes.Buffer{}, &bytes.Buffer{})).Find(words)
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil && cmd.Args != nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: example %q: %v", c.CommandPath(), line, err)
			}
		}
	})
}

func TestManPages(t *testing.T) {
	dir := t.TempDir()
	var errs bytes.Buffer
	if status := Main([]string{"hostler", "docs", "man", dir}, nil, &errs, &errs); status != 0 {
		t.Fatalf("docs man: exit status %d, want 0: %s", status, &errs)
	}
	pages, _ := filepath.Glob(filepath.Join(dir, "*.1"))
	if len(pages) < 25 {
		t.Errorf("%d pages", len(pages))
	}
	run, err := os.ReadFile(filepath.Join(dir, "hostler-run.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".TH \"HOSTLER-RUN\" 1", ".SH EXAMPLES", "\\-\\-timeout D", ".BR hostler (1)"} {
		if !bytes.Contains(run, []byte(want)) {
			t.Errorf("hostler-run.1 has no %q", want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "hostler-keeper-serve.1")); err == nil {
		t.Error("a page for what is hidden")
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Log("groff is not here to read the pages")
		return
	}
	for _, page := range pages {
		out, err := exec.Command(groff, "-man", "-Tutf8", "-w", "mac", "-w", "missing", page).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("warning")) {
			t.Errorf(`%s: err = %v out = %s; want no error and out without []byte("warning")`, page, err, out)
		}
	}
}
