package main

import (
	"fmt"
	"strings"
	"time"

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

func viewImage(img image.Image, users []string) imageView {
	c := img.Config
	v := imageView{
		Name: img.Name, Digest: img.Digest, Manifest: img.Manifest, Platform: img.Platform.String(), Size: img.Size,
		Built: when(img.Built), Created: img.Created,
		Used: when(img.Used), Owners: img.Owners, Users: listed(users), Layers: []imageLayerView{},
		Config: imageConfigView{
			c.User, listed(c.Env), listed(c.Entrypoint), listed(c.Cmd), c.WorkingDir, c.Labels, listed(c.ExposedPorts),
			listed(c.Volumes), c.StopSignal,
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

// listed makes a missing list an empty one.
func listed(s []string) []string { return append([]string{}, s...) }

// shortDigest is enough of a digest for people, and for the commands that take one.
func shortDigest(digest string) string {
	const digits = 12
	if hex, ok := strings.CutPrefix(digest, "sha256:"); ok && len(hex) > digits {
		return "sha256:" + hex[:digits]
	}
	return digest
}

// shortSize writes bytes for people: 114.4M, powers of 1024 as everywhere.
func shortSize(n int64) string {
	f, units := float64(n), "KMGTPE"
	if n < 1024 {
		return fmt.Sprint(n)
	}
	for f /= 1024; f >= 999.95 && len(units) > 1; f /= 1024 {
		units = units[1:]
	}
	return fmt.Sprintf("%.1f%c", f, units[0])
}

// ago says how long something is past.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := time.Since(t); {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// counted writes a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
