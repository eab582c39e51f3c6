package bundle_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/bundle/gotemplate"
	"github.com/hostler-project/hostler/compute"
)

// TestUserData has cloud-init check what we write, does by hand what cloud-init would, and then has
// nothing left to apply.
func TestUserData(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf": "scripts = 1.sh, 2.sh, no.sh\nfiles = " + p.path("etc/f") + "\non-error = continue\n[args]\n" +
			"port = 80\n[file " + p.path("etc/f") + "]\nmode = 0640\n[script no.sh]\nwhen = region == elsewhere",
		"b/files/f":      "it's\x00binary\n",
		"b/scripts/1.sh": "#!/bin/sh\n# provision-template-type: format-string\necho {node_name} $HOSTLER_ARG_PORT >>" + p.path("ones"),
		"b/scripts/2.sh": "exit 3", "b/scripts/no.sh": "exit 1",
		"b/pubkeys/me": key,
	})
	pl := plan(t, set, bundle.PlanOptions{}, "b")
	facts := bundle.Facts{"name": "web-1", "region": "here"}
	data, err := pl.UserData(facts, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("schema", func(t *testing.T) {
		program, err := exec.LookPath("cloud-init")
		if err != nil {
			t.Skip("there is no cloud-init")
		}
		file := filepath.Join(t.TempDir(), "user-data")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program, "schema", "--config-file", file).CombinedOutput(); err != nil ||
			!bytes.Contains(out, []byte("Valid")) {
			t.Errorf("%v: out = %s\ndata = %s; want no error and out with []byte(\"Valid\")", err, out, data)
		}
	})
	var said struct {
		Keys  []string                                                `json:"ssh_authorized_keys"`
		Files []struct{ Path, Permissions, Encoding, Content string } `json:"write_files"`
		Run   [][]string                                              `json:"runcmd"`
	}
	state := p.path("state")
	if err := json.Unmarshal(
		bytes.TrimPrefix(data, []byte("#cloud-config\n")), &said,
	); err != nil || len(said.Keys) != 1 || len(said.Run) != 1 {
		t.Fatalf("said = %+v, err = %v; want no error and len(said.Keys) == 1 and len(said.Run) == 1", said, err)
	}
	there := func(s string) string { return strings.ReplaceAll(s, "/var/lib/hostler/bundle", state) }
	for _, f := range said.Files {
		content := f.Content
		if f.Encoding == "gz+b64" {
			packed, err := base64.StdEncoding.DecodeString(content)
			if err != nil {
				t.Fatal(err)
			}
			r, err := gzip.NewReader(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			content = string(plain)
		}
		mode, err := strconv.ParseUint(f.Permissions, 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(there(f.Path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(there(f.Path), []byte(there(content)), os.FileMode(mode)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(said.Run[0][0], there(said.Run[0][1])).CombinedOutput()
	if want := "hostler: bundle script b/1.sh ended with status 0\nhostler: bundle script b/2.sh ended with status 3\n"; err == nil ||
		string(out) != want {
		t.Fatalf("%v: out = %s; want an error and string(out) == want", err, out)
	}
	if got := p.read(t, "ones"); got != "web-1 80\n" {
		t.Errorf("the script wrote %q", got)
	}
	if _, err := os.Stat(p.path("state/first")); err == nil {
		t.Error("the scripts were left there")
	}
	r, err := p.apply(t, pl, bundle.ApplyOptions{Facts: facts, DryRun: true})
	if got, want := actions(r), "me@here pending, f unchanged, 1.sh unchanged, 2.sh pending, no.sh skipped"; err != nil || got != want {
		t.Errorf("then: %s, %v; want %s", got, err, want)
	}
}

func TestUserDataRefused(t *testing.T) {
	set := conf(t, map[string]string{
		"s/bundle.conf": "[args]\ntoken = env:X", "w/bundle.conf": "when = tool.git", "f/bundle.conf": "scripts = 1.sh",
		"f/scripts/1.sh": goMarker + "{{.facts.address}}",
	})
	secret := bundle.PlanOptions{
		Secret:     func(_ context.Context, v string) (string, bool, error) { return "x", v == "env:X", nil },
		GoTemplate: gotemplate.Expand,
	}
	if _, err := plan(t, set, secret, "s").UserData(nil, false); !errors.Is(err, compute.ErrDenied) ||
		!strings.Contains(err.Error(), "token is a secret") {
		t.Errorf(`err = %v; want error compute.ErrDenied and err.Error() with "token is a secret"`, err)
	}
	if _, err := plan(t, set, secret, "s").UserData(nil, true); err != nil {
		t.Errorf("err = %v; want no error", err)
	}
	for name, want := range map[string]string{
		"w": "tool.git: what the computer says of itself is not known", "f": "a template wants the fact address",
	} {
		if _, err := plan(t, set, secret, name).UserData(nil, false); !errors.Is(err, compute.ErrInvalid) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v; want error compute.ErrInvalid and err.Error() with want", name, err)
		}
	}
	// who says it beforehand is believed
	known := bundle.Facts{"tool.git": "", "address": "10.0.0.7"}
	for _, name := range []string{"w", "f"} {
		if _, err := plan(t, set, secret, name).UserData(known, false); err != nil {
			t.Errorf("%s: err = %v; want no error", name, err)
		}
	}
}
