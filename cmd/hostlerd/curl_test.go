package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// curls are the lines of the documents that ask a controller with curl, without what is said of
// them beside.
func curls(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("files = %v, err = %v; want no error and len(files) != 0", files, err)
	}
	beside := regexp.MustCompile(`\s{3,}\S.*$`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "    curl "); ok && strings.Contains(rest, "localhost:7070/") {
				out = append(out, "curl "+beside.ReplaceAllString(strings.TrimSpace(rest), ""))
			}
		}
	}
	return out
}

// TestDocumentedCurl does with the real curl what the documents say that can be done with it.
func TestDocumentedCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	lines := curls(t)
	if len(lines) < 5 {
		t.Fatalf("the documents have only %q", lines)
	}
	t.Setenv("PATH", plainPath(t))
	o := newYard(t, map[string]string{"sources/web/source.conf": "type = fake\n"})
	at := o.Serve("--listen", "127.0.0.1:0").Said(`tcp:(127\.0\.0\.1:[0-9]+)`)
	id := ""
	for _, line := range lines {
		words := strings.NewReplacer("localhost:7070", at, "/leases/ID", "/leases/"+id).Replace(line)
		if strings.Contains(words, "/watch") { // it goes on for ever
			words += `?after=0 >told & P=$!
until grep -q "^data: " told || ! kill -0 $P; do sleep 0.05; done
kill $P; wait $P; cat told`
		}
		cmd := exec.Command("sh", "-c", `T="Authorization: Bearer $(cat ~/.local/state/hostler/controller.token)"
`+strings.Replace(words, "curl ", "curl --noproxy '*' -fsS --max-time 60 ", 1))
		cmd.Env, cmd.Dir = o.vars, o.Dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: err = %v: out = %s; want no error", line, err, out)
			continue
		}
		if m := regexp.MustCompile(`"id":"([0-9a-f-]{36})"`).FindSubmatch(out); strings.Contains(line, "/v1/leases -d") {
			if m == nil {
				t.Errorf("%s: out = %s; want m != nil", line, out)
				continue
			}
			id = string(m[1])
		}
		if strings.Contains(line, `"token": true`) && !strings.Contains(string(out), `"token":"hst_`) ||
			strings.Contains(line, "/watch") && !strings.Contains(string(out), `"kind":`) {
			t.Errorf(
				"%s: out = %s"+
					"; want (line without `\"token\": true` or string(out) with `\"token\":\"hst_`) and (line "+
					"without \"/watch\" or string(out) with `\"kind\":`)",
				line, out,
			)
		}
	}
}
