package image_test

import (
	"strings"
	"testing"

	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
)

// TestExpected: the name by which an image is looked for, without the rules of registries, is the
// one that those rules lead to.
func TestExpected(t *testing.T) {
	s := open(t, image.Options{Registry: registry.Client{}})
	read, pin := 0, "@sha256:"+strings.Repeat("0123456789abcdef", 4)
	for _, host := range []string{
		"", "docker.io/", "index.docker.io/", "docker.io:443/", "localhost/", "localhost:5000/", "a.b/", "10.0.0.1:80/", "[::1]:5000/",
		"Registry.Example/", "docker.io/docker.io/", "docker.io/index.docker.io/", "index.docker.io/docker.io/", "index.docker.io/a.b/",
	} {
		for _, repo := range []string{
			"debian", "library/debian", "library/library/x", "library/a.b/c",
			"team/tool", "localhost", "index.docker.io", "x.tar", "x_y/z--1",
			"library", "library/", "/x", "a//b", "", "Upper",
		} {
			for _, end := range []string{"", ":12", ":V1.2_x-y", ":", pin, ":12" + pin, "@sha256:1"} {
				r, err := s.Parse("docker://" + host + repo + end)
				if err != nil {
					continue // no image has such a name
				}
				read++
				if got := image.Expected(host + repo + end); got != r.Name {
					t.Errorf("%q: expected %q, and it is %q", host+repo+end, got, r.Name)
				}
			}
		}
	}
	if read < 500 {
		t.Errorf("only %d names were right", read)
	}
}
