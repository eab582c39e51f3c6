package image_test

import (
	"testing"

	"github.com/hostler-project/hostler/image"
)

func TestMeant(t *testing.T) {
	here := []string{
		"debian:12", "debian:13", "docker.io/library/alpine:3.20", "registry.example.com/team/tool:1",
		"registry.example.com/team/other:1", "localhost/built:new", "debian:12",
	}
	for _, test := range []struct{ typed, want string }{
		{"debain:12", "did you mean debian:12 or debian:13? If not: pull"},
		{"debian:11", "did you mean debian:12 or debian:13? If not: pull"},
		{"debian:31", "did you mean debian:13 or debian:12? If not: pull"}, {"debian", "did you mean debian:12 or debian:13? If not: pull"},
		{"docker.io/library/debain", "did you mean debian:12 or debian:13? If not: pull"},
		{"alpin", "did you mean alpine:3.20? If not: pull"},
		{"registry.example.com/team/tol:1", "did you mean registry.example.com/team/tool:1? If not: pull"},
		{"registry.example.com/team/fedora:1", "pull"}, // the registry alone is no likeness
		{"registry.exmaple.com/team/tool:1", "did you mean registry.example.com/team/tool:1? If not: pull"},
		{"bulit", "did you mean localhost/built:new? If not: pull"},
		{"debian@sha256:1234", "did you mean debian:12 or debian:13? If not: pull"},
		{"fedora", "pull"}, {"", "pull"}, {"debian:12", "did you mean debian:13? If not: pull"},
	} {
		if got := image.Meant(test.typed, here, "pull"); got != test.want {
			t.Errorf("%q: got %q, want %q", test.typed, got, test.want)
		}
	}
	if got := image.Meant("debain", []string{"debian:12"}, ""); got != "did you mean debian:12?" {
		t.Errorf("without a hint: %q", got)
	}
	if got := image.Meant("debian", nil, "pull"); got != "pull" {
		t.Errorf("where there are none: %q", got)
	}
}
