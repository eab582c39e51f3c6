package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// tarOf packs a tree as root's.
func tarOf(dir string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		name, rerr := filepath.Rel(dir, path)
		if err != nil || rerr != nil || name == "." {
			return err
		}
		link := ""
		if fi.Mode()&os.ModeSymlink != 0 {
			link, _ = os.Readlink(path)
		}
		h, err := tar.FileInfoHeader(fi, link)
		if err != nil {
			return err
		}
		h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
		if err := w.WriteHeader(h); err != nil || !fi.Mode().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

// ociArchive makes an OCI archive of one layer, whose commands have an environment and a directory
// of its own.
func ociArchive(dir, archive string) error {
	data, err := tarOf(dir)
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	if err != nil {
		return err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Env: []string{"PATH=/bin", "MADE=by a test"}, WorkingDir: "/home/app"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return err
	}
	place, err := os.MkdirTemp(filepath.Dir(archive), "layout")
	if err != nil {
		return err
	}
	defer os.RemoveAll(place)
	to, err := layout.Write(place, empty.Index)
	if err != nil {
		return err
	}
	if err := to.AppendImage(img); err != nil {
		return err
	}
	if data, err = tarOf(place); err != nil {
		return err
	}
	return os.WriteFile(archive, data, 0o644)
}
