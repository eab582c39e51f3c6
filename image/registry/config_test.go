package registry

import (
	"encoding/json"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/oci"
)

// TestConfigFile: a configuration is the same document, and so has the same digest, whether the
// library writes it or package oci.
func TestConfigFile(t *testing.T) {
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for what, img := range map[string]image.Image{
		"an empty one": {},
		"a full one": {
			Platform: image.Platform{OS: "linux", Arch: "arm", Variant: "v7"}, Built: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
			Config: image.Config{
				User: "app:1", Env: []string{"A=<b>"}, Entrypoint: []string{"/init"}, Cmd: []string{"x", "y"}, WorkingDir: "/srv",
				Labels: map[string]string{"b": "2", "a": "1"}, ExposedPorts: []string{"80/tcp"}, Volumes: []string{"/data"},
				StopSignal: "SIGINT",
			},
		},
	} {
		theirs, ours := configFile(img), img.ConfigFile()
		theirs.RootFS.DiffIDs = []v1.Hash{{Algorithm: "sha256", Hex: hex}}
		ours.RootFS.DiffIDs = []oci.Digest{{Algorithm: "sha256", Hex: hex}}
		want, err := json.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(ours)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
		}
		var back oci.ConfigFile
		if err := json.Unmarshal(want, &back); err != nil || !back.Created.Equal(ours.Created) || back.RootFS.DiffIDs[0].Hex != hex {
			t.Errorf("%s: read as %+v, %v", what, back, err)
		}
	}
}

// TestDigest: digests are right and wrong as the library says.
func TestDigest(t *testing.T) {
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, text := range []string{
		"sha256:" + hex, "sha512:" + hex + hex, "sha256:" + hex[1:], "sha512:" + hex, "md5:" + hex, "sha256", ":", "",
		"sha256:G" + hex,
	} {
		var got oci.Digest
		err := got.UnmarshalText([]byte(text))
		want, wrong := v1.NewHash(text)
		if (err == nil) != (wrong == nil) || got.Hex != want.Hex || err != nil && err.Error() != wrong.Error() {
			t.Errorf("%q: got %v, %v, want %v, %v", text, got, err, want, wrong)
		}
	}
}
