package seed_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kdomanski/iso9660"
	"go.yaml.in/yaml/v3"

	"github.com/hostler-project/hostler/provider/vm/seed"
)

// TestSeed reads what is on a seed as cloud-init does.
func TestSeed(t *testing.T) {
	program := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(program, bytes.Repeat([]byte("agent"), 100000), 0o700); err != nil {
		t.Fatal(err)
	}
	extra := "#cloud-config\npackages: [git]\n"
	path := filepath.Join(t.TempDir(), "seed.iso")
	key, err := seed.WriteSeed(path, program, "someone", []byte(extra))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	im, err := iso9660.OpenImage(f)
	if err != nil {
		t.Fatal(err)
	}
	if label, err := im.Label(); err != nil || strings.TrimSpace(label) != "cidata" {
		t.Errorf("label %q, %v", label, err)
	}
	root, err := im.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	children, err := root.GetChildren()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	for _, c := range children {
		b, err := io.ReadAll(c.Reader())
		if err != nil {
			t.Fatal(err)
		}
		got[c.Name()] = b
	}
	var meta map[string]string
	if err := yaml.Unmarshal(got["meta-data"], &meta); err != nil || meta["instance-id"] == "" || meta["local-hostname"] != "web-1" {
		t.Errorf("meta-data %v, %v", meta, err)
	}
	var network map[string]any
	if err := yaml.Unmarshal(got["network-config"], &network); err != nil || network["version"] != 2 {
		t.Errorf("network-config %v, %v", network, err)
	}
	if want, _ := os.ReadFile(program); !bytes.Equal(got["hostler-agent"], want) {
		t.Errorf("the agent has %d bytes", len(got["hostler-agent"]))
	}
	if hook := string(got["vendor-data"]); !strings.HasPrefix(hook, "#cloud-boothook\n") || !strings.Contains(hook, "agent guest") {
		t.Errorf("vendor-data %s", hook)
	}
	// Ours and the user's, each of its own kind.
	m, err := mail.ReadMessage(bytes.NewReader(got["user-data"]))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	var texts []string
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind := p.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/cloud-config") {
			t.Errorf("a part of kind %s", kind)
		}
		b, _ := io.ReadAll(p)
		texts = append(texts, string(b))
	}
	if len(texts) != 2 || texts[1] != extra {
		t.Fatalf("parts %q", texts)
	}
	var ours struct {
		Users []any             `yaml:"users"`
		Keys  map[string]string `yaml:"ssh_keys"`
	}
	if err := yaml.Unmarshal([]byte(texts[0]), &ours); err != nil || len(ours.Users) != 2 ||
		strings.TrimSpace(ours.Keys["ed25519_private"]) != strings.TrimSpace(key) {
		t.Errorf(
			"%v: texts[0] = %s"+
				"; want no error and len(ours.Users) == 2 and "+
				`strings.TrimSpace(ours.Keys["ed25519_private"]) == strings.TrimSpace(key)`,
			err, texts[0],
		)
	}
	if _, err := seed.WriteSeed(path, program, "someone", []byte("what is this")); err == nil {
		t.Error("user-data of no kind is taken")
	}
}
