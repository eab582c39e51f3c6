// Package oci has the documents of the OCI image format as far as images are read and made here:
// they are plain JSON, and docker's are alike.
package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// The media types that are told apart.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"

	typeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	typeSchema1        = "application/vnd.docker.distribution.manifest.v1+json"
	typeSchema1Signed  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// The annotations by which a layout names its images.
const (
	AnnotationRef  = "org.opencontainers.image.ref.name"
	AnnotationName = "io.containerd.image.name"
)

// MediaType says what a blob is.
type MediaType string

// IsIndex reports whether it is a list of manifests.
func (m MediaType) IsIndex() bool { return m == typeIndex || m == typeDockerIndex }

// IsImage reports whether it is the manifest of one image.
func (m MediaType) IsImage() bool { return m == typeManifest || m == typeDockerManifest }

// IsConfig reports whether it is an image's configuration.
func (m MediaType) IsConfig() bool { return m == typeConfig || m == typeDockerConfig }

// IsSchema1 reports whether it is a manifest of docker's first form.
func (m MediaType) IsSchema1() bool { return m == typeSchema1 || m == typeSchema1Signed }

// Digest names a blob by its content: "sha256:" and 64 hexadecimal digits.
type Digest struct{ Algorithm, Hex string }

// String returns the digest as documents have it.
func (d Digest) String() string { return d.Algorithm + ":" + d.Hex }

// MarshalText returns the digest as documents have it.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a digest and checks its form.
func (d *Digest) UnmarshalText(text []byte) error {
	algorithm, digits, ok := strings.Cut(string(text), ":")
	if !ok || algorithm == "" || digits == "" {
		return fmt.Errorf("cannot parse hash: %q", text)
	}
	if rest := strings.TrimLeft(digits, "0123456789abcdef"); rest != "" {
		return fmt.Errorf("found non-hex character in hash: %c", rest[0])
	}
	size := map[string]int{"sha256": sha256.Size, "sha512": sha512.Size}[algorithm]
	if size == 0 {
		return fmt.Errorf("unsupported hash: %q", algorithm)
	}
	if len(digits) != hex.EncodedLen(size) {
		return fmt.Errorf("wrong number of hex digits for %s: %s", algorithm, digits)
	}
	*d = Digest{algorithm, digits}
	return nil
}

// Descriptor refers to a blob.
type Descriptor struct {
	MediaType   MediaType         `json:"mediaType"`
	Size        int64             `json:"size"`
	Digest      Digest            `json:"digest"`
	Data        []byte            `json:"data,omitempty"` // the blob itself; nil: it is elsewhere
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *Platform         `json:"platform,omitempty"`
}

// Platform is what an image runs on.
type Platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// Index lists manifests.
type Index struct {
	Manifests []Descriptor `json:"manifests"`
}

// Manifest lists the blobs of an image.
type Manifest struct {
	SchemaVersion int64        `json:"schemaVersion"`
	Config        Descriptor   `json:"config"`
	Layers        []Descriptor `json:"layers"`
}

// ConfigFile is an image's configuration. Its JSON decides on the digest of an image that is made
// here, so the order of the fields stays.
type ConfigFile struct {
	Architecture string    `json:"architecture"`
	Created      time.Time `json:"created"`
	OS           string    `json:"os"`
	RootFS       RootFS    `json:"rootfs"`
	Config       Config    `json:"config"`
	Variant      string    `json:"variant,omitempty"`
}

// RootFS lists the layers of an image, bottom first, by the digests of their uncompressed archives.
type RootFS struct {
	Type    string   `json:"type"`
	DiffIDs []Digest `json:"diff_ids"`
}

// Config is how programs of an image are run.
type Config struct {
	Cmd          []string            `json:"Cmd,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	User         string              `json:"User,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
}

// Saved is one image in the file manifest.json of what docker save writes.
type Saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}
