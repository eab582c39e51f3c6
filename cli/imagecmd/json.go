package imagecmd

import (
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/image"
)

// imageView is an image in `image list`, `image pull` and `image inspect --json`.
type imageView struct {
	Name     string           `json:"name"`
	Digest   string           `json:"digest"`
	Manifest string           `json:"manifest,omitempty"`
	Platform string           `json:"platform"`
	Size     int64            `json:"size"`
	Built    *time.Time       `json:"built"`
	Created  time.Time        `json:"created"`
	Used     *time.Time       `json:"used"`
	Owners   bool             `json:"owners"`
	Users    []string         `json:"users"`
	KeptFor  string           `json:"kept_for,omitempty"`
	Config   imageConfigView  `json:"config"`
	Layers   []imageLayerView `json:"layers"`
}

// imageConfigView is what an image says of itself.
type imageConfigView struct {
	User         string            `json:"user,omitempty"`
	Env          []string          `json:"env"`
	Entrypoint   []string          `json:"entrypoint"`
	Cmd          []string          `json:"cmd"`
	WorkingDir   string            `json:"working_dir,omitempty"`
	Labels       map[string]string `json:"labels"`
	ExposedPorts []string          `json:"exposed_ports"`
	Volumes      []string          `json:"volumes"`
	StopSignal   string            `json:"stop_signal,omitempty"`
}

// imageLayerView is a layer of an image.
type imageLayerView struct {
	DiffID string `json:"diff_id"`
	Dir    string `json:"dir"`
	Size   int64  `json:"size"`
}

// collectedView is what `image gc --json` prints.
type collectedView struct {
	Images []string `json:"images"`
	Layers int      `json:"layers"`
	Size   int64    `json:"size"`
	DryRun bool     `json:"dry_run"`
}

// viewImage describes an image, with the names of its users.
func viewImage(img image.Image, users []string) imageView {
	c := img.Config
	v := imageView{
		Name: img.Name, Digest: img.Digest, Manifest: img.Manifest, Platform: img.Platform.String(), Size: img.Size,
		Built: term.When(img.Built), Created: img.Created,
		Used: term.When(img.Used), Owners: img.Owners, Users: term.Listed(users), Layers: []imageLayerView{},
		Config: imageConfigView{
			c.User, term.Listed(c.Env), term.Listed(c.Entrypoint), term.Listed(c.Cmd), c.WorkingDir, c.Labels, term.Listed(c.ExposedPorts),
			term.Listed(c.Volumes), c.StopSignal,
		},
	}
	if v.Config.Labels == nil {
		v.Config.Labels = map[string]string{}
	}
	for _, l := range img.Layers {
		v.Layers = append(v.Layers, imageLayerView(l))
	}
	return v
}

// shortDigest shortens a digest for the user. Commands accept the short form.
func shortDigest(digest string) string {
	const digits = 12
	if hex, ok := strings.CutPrefix(digest, "sha256:"); ok && len(hex) > digits {
		return "sha256:" + hex[:digits]
	}
	return digest
}
